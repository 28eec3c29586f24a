import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { domainsOverEnums, readTableFacts, type TableFacts } from "../../src/catalog/preflight.ts";
import { checkColumns } from "../../src/cli/check-columns.ts";
import { checkTables } from "../../src/cli/check-tables.ts";
import { readTable } from "../../src/catalog/read-table.ts";
import { openPool } from "../../src/sink/connect.ts";
import { everyColumn, everyTypeRows } from "../e2e/every-type.rows.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";

/** What is known of the primary's types and tables, held against what the real Debezium Server sent of them. */
type Pool = ReturnType<typeof openPool>;

/** As the commands connect. */
async function withPool<Result>(url: string, use: (pool: Pool) => Promise<Result>): Promise<Result> {
  const pool = openPool({ url, applicationName: "test", max: 1 });
  try {
    return await use(pool);
  } finally {
    await pool.end();
  }
}

async function factsOf(url: string): Promise<readonly TableFacts[]> {
  return withPool(url, readTableFacts);
}

interface RecordedRow {
  readonly op: string;
  readonly source: { readonly schema: string; readonly table: string };
  /** As it was written. */
  readonly image: string;
}

const tests = join(import.meta.dirname, "..");

function recordedRows(): RecordedRow[] {
  const lines = readFileSync(join(tests, "fixtures", "debezium-3.6.1.Final", "streams.jsonl"), "utf8");
  return lines
    .trimEnd()
    .split("\n")
    .map((line) => {
      const { fields } = JSON.parse(line) as { fields: string[] };
      const value = fields[fields.indexOf("value") + 1] ?? "";
      const [image = ""] = /(?<="after":).*(?=,"source":\{)/s.exec(value) ?? [];
      return { ...(JSON.parse(value) as Omit<RecordedRow, "image">), image };
    });
}

/** The primary as it was before the recorded snapshot. */
async function fillRecorded(source: TestDatabase): Promise<void> {
  await source.query(readFileSync(join(tests, "e2e", "every-type.sql"), "utf8"));
  await source.query(readFileSync(join(tests, "fixtures", "before-snapshot.sql"), "utf8"));
  for (const row of everyTypeRows)
    await source.query(`INSERT INTO every_type (${everyColumn}) VALUES (${row})`);
}

test("the columns that check names are those that the recorded Debezium lost", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await fillRecorded(source);
  const update = recordedRows().find((row) => row.op === "u" && row.source.table === "apart");
  const after = JSON.parse(update?.image ?? "{}") as object;
  const apart = (await factsOf(source.url)).find(({ table }) => table === "apart");
  const lost = Object.entries(after).flatMap(([column, value]) => (value === null ? [column] : []));
  const columns = await source.query<{ name: string }>(
    "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'apart'::regclass AND attnum > 0 ORDER BY attnum",
  );
  expect(apart?.unsent).toEqual(columns.map(({ name }) => name).filter((name) => !(name in after)));
  expect(apart?.lostWhenUnchanged.filter((column) => !apart.unsent.includes(column))).toEqual(lost);
});

test("every recorded value of the snapshot is read back as it is on the primary", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await fillRecorded(source);
  const rows = recordedRows().filter((row) => row.op === "r" && row.image.startsWith('{"id":'));
  const named = rows.filter(({ source: { table } }) => table !== "parted");
  expect(named.length).toBeGreaterThan(9);
  await withPool(source.url, async (pool) => {
    for (const { source: name, image } of named) {
      const table = await readTable(pool, { ...name, id: `${name.schema}.${name.table}` });
      const columns = [...(table?.columns.values() ?? [])].filter(({ name }) => image.includes(`"${name}":`));
      const record = columns.map(({ name, codec }) => `"${name}" ${codec?.recordType}`);
      const read = columns.map(
        ({ name, codec }) => `(${codec?.expression(`r."${name}"`)})::text AS "${name}"`,
      );
      const written = columns.map(({ name }) => `"${name}"::text`);
      const from = `json_to_record('${image.replaceAll("'", "''")}') AS r(${record.join(", ")})`;
      const { rows: found } = await pool.query<object>(`SELECT ${read.join(", ")} FROM ${from}`);
      const { id } = JSON.parse(image) as { id: number };
      const select = `SELECT ${written.join(", ")} FROM "${name.schema}"."${name.table}" WHERE id = ${id}`;
      expect(found, `${name.table} ${id}`).toEqual((await pool.query<object>(select)).rows);
    }
  });
});

test("check compares columns by the types below domains, in both databases", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await using read = await createDatabase(inject("postgresUrl"));
  await source.query(
    `CREATE DOMAIN price AS numeric(10,4); CREATE DOMAIN dear AS price; CREATE TYPE mood AS ENUM ('sad');
     CREATE TABLE t (id int PRIMARY KEY, a dear, "B" varchar(9)[], c mood, d "char", e time(3), f text, g int4range, h mood[])`,
  );
  await read.query(
    `CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (id bigint PRIMARY KEY, a numeric(10,2), "B" varchar(8)[], c text, d "char", e time,
     f text, g int4range, h mood[], own int, half int GENERATED ALWAYS AS (own / 2) STORED, _sluice_lsn bigint)`,
  );
  const [there, here] = [await factsOf(source.url), await factsOf(read.url)];
  expect(there[0]?.columns.map(({ type }) => type.sql)).toEqual(
    ["integer", "numeric(10,4)", "character varying(9)[]", "public.mood", '"char"'].concat(
      ...["time(3) without time zone", "text", "int4range", "public.mood[]"],
    ),
  );
  expect(here[0]?.columns.filter(({ generated }) => generated).map(({ name }) => name)).toEqual(["half"]);
  expect(checkTables({ read: here, source: there, maySkipTriggers: true })).toMatchObject([
    {
      level: "fail",
      what: expect.stringContaining(
        "a numeric(10,2) (there numeric(10,4)), B character varying(8)[]",
      ) as string,
      remedy:
        'ALTER TABLE public.t ALTER COLUMN a TYPE numeric(10,4), ALTER COLUMN "B" TYPE character varying(9)[].',
    },
    { level: "warn", what: expect.stringContaining("c text (there public.mood)") as string },
    { level: "warn", what: expect.stringContaining("unchanged large values of h") as string },
  ]);
});

test("a table that migrate makes as on the primary has no column that check complains of", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await fillRecorded(source);
  const facts = await factsOf(source.url);
  const findings = facts.map((table) => {
    const told: string[] = [];
    checkColumns(
      table,
      table,
      (what) => void told.push(what),
      (what) => void told.push(what),
    );
    return told;
  });
  expect(findings.length).toBeGreaterThan(9);
  expect(findings.flat()).toEqual([]);
});

test("check sees partitions, publications by partition, and domains over enums", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await source.query(
    `CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
     CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
     CREATE TABLE parted_1a PARTITION OF parted_1 FOR VALUES FROM (0) TO (5);
     CREATE PUBLICATION by_partition FOR ALL TABLES;
     CREATE PUBLICATION by_root FOR ALL TABLES WITH (publish_via_partition_root = true);
     CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN my_mood AS mood`,
  );
  const [parted, ...others] = await factsOf(source.url);
  expect(others).toEqual([]);
  expect(parted).toMatchObject({
    partitions: [{ id: "public.parted_1" }, { id: "public.parted_1a" }],
    publicationsByPartition: ["by_partition"],
    replicaIdentityFull: false,
  });
  await source.query("ALTER TABLE parted_1a REPLICA IDENTITY FULL");
  expect((await factsOf(source.url))[0]?.replicaIdentityFull).toBe(true);
  expect(await withPool(source.url, domainsOverEnums)).toEqual(["public.my_mood"]);
});

test("check sees identities outside the key that cannot be updated", async () => {
  await using read = await createDatabase(inject("postgresUrl"));
  await read.query(
    `CREATE TABLE i (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY,
       d int GENERATED BY DEFAULT AS IDENTITY)`,
  );
  expect(await factsOf(read.url)).toMatchObject([{ identities: ["n"] }]);
});

test("check sees large values in tables whose old rows are logged by an index other than the key", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await source.query(
    `CREATE TABLE a (id int PRIMARY KEY, owner int NOT NULL, body text, n numeric, UNIQUE (id, owner));
     CREATE TABLE b (LIKE a INCLUDING ALL);
     ALTER TABLE a REPLICA IDENTITY USING INDEX a_id_owner_key;
     ALTER TABLE b REPLICA IDENTITY USING INDEX b_pkey`,
  );
  expect(await factsOf(source.url)).toMatchObject([
    { table: "a", replicaIdentityByIndex: true, large: ["body", "n"] },
    { table: "b", replicaIdentityByIndex: false },
  ]);
});
