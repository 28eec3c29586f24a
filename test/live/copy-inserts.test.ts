import { expect, inject, it } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { copyBinary } from "../../src/decode/copy-binary.ts";
import { CopyData } from "../../src/decode/copy-data.ts";
import { copyRow } from "../../src/decode/copy-text.ts";
import { textPlace } from "../../src/decode/kernel/memory.ts";
import { spanOf, type Span } from "../../src/decode/span.ts";
import { TextArrays } from "../../src/decode/text-arrays.ts";
import { openPool } from "../../src/sink/connect.ts";
import { StepSequence } from "../../src/sink/step-sequence.ts";
import { jsonArray } from "../../src/sink/statements/rows.ts";
import { appendSql, copySql, upsertAboveArraysSql } from "../../src/sink/statements/write-rows.ts";
import { createDatabase } from "../support/database.ts";
import { entryFields } from "../support/entries.ts";
import { migrated } from "../support/member.ts";
import { whereabouts } from "../support/kernel-bytes.ts";
import { change, readTable } from "../support/plans.ts";
import { createScene, range, type Scene } from "../support/scene.ts";

const values: Readonly<Record<string, readonly unknown[]>> = {
  smallint: [-32_768, 0, 32_767],
  bigint: ["9223372036854775807", -1],
  real: [1.5, -0.0, "NaN", "-Infinity"],
  "double precision": [0.1, -0.0, "NaN", "Infinity", 1e-300, 0.30000000000000004],
  numeric: ["12.30", "-0.000000000000000001", "123456789012345678901234567890.5"],
  "numeric(10,2)": ["12.30", "-99999999.99", "7"],
  boolean: [true, false],
  text: ["", "\\N", "a\tb\nc\r\\d", "ä😀\u0001", "\\.", '"quoted"', "x".repeat(100_000)],
  "varchar(5)": ["abcde", ""],
  uuid: ["b68a35a7-17ad-35b3-af2a-ae46edb4545a"],
  timestamptz: ["2024-01-01T18:04:05.678901Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"],
  timestamp: [1_704_164_645_678_901, 0, -1, -9_000_000_000_000_000],
  date: [19_724, 0, -719_162, 2_932_896],
  time: [11_045_678_901, 0, 86_400_000_000],
  bytea: ["3q2+7w==", ""],
  json: ['{"a": [1, null, "x\\ty"]}', "null"],
  jsonb: ['{"a": "ä\\n\\\\"}', "[]"],
  inet: ["10.0.0.1/8"],
  tsvector: ["'a':1 'b':2"],
  int4range: ["[1,5)"],
  xml: ["<a>&amp;</a>"],
  interval: ["P1Y2M3DT4H5M6.789S"],
  mood: ["so so", "good"],
  price: ["12.30", "0", "99999.9"],
  "char(3)": ["abc", "a  ", "ä"],
  citext: ["Ä", "b"],
  integer: [-2_147_483_648, 2_147_483_647],
};

/** Those of which PostgreSQL receives no binary form here. */
const onlyText = new Set(["inet", "tsvector", "int4range", "xml", "interval"]);

it("COPY in both formats and arrays of texts give every value as the statement does that reads JSON", async () => {
  await using db = await createDatabase(inject("postgresUrl"));
  await migrated(db.url);
  const names = Object.keys(values);
  const received = names.filter((type) => !onlyText.has(type));
  const inArrays = names.filter((type) => type !== "char(3)");
  const columnsOf = (types: readonly string[]): string =>
    types.map((type) => `c${names.indexOf(type)} ${type}`).join(", ");
  await db.query(
    `CREATE TYPE mood AS ENUM ('good', 'so so'); CREATE DOMAIN price AS numeric(8,2) CHECK (VALUE >= 0); CREATE EXTENSION citext;
     CREATE TABLE a (id int, ${columnsOf(names)}, _sluice_lsn bigint);
     CREATE TABLE b (LIKE a); CREATE TABLE c (id int PRIMARY KEY, ${columnsOf(inArrays)}, _sluice_lsn bigint);
     CREATE TABLE d (id int, ${columnsOf(received)}, _sluice_lsn bigint)`,
  );
  const imagesOf = (types: readonly string[]): Buffer[] =>
    range(0, 6).map((row) => {
      const members = types.map((type) => [`c${names.indexOf(type)}`, values[type]?.[row] ?? null]);
      return Buffer.from(JSON.stringify({ id: row, ...Object.fromEntries(members) }));
    });
  const images = imagesOf(names);
  const pool = openPool({ url: db.url, applicationName: "test", max: 1, applying: true });
  const catalog = new Catalog(pool);
  const planOf = (table: string, image = images[0]) => {
    // Changes of other columns have another form.
    const { form } = change(readTable(`public.${table}`, {}), "c", 7, { id: 1 });
    return catalog.plan({ form, key: table === "c" ? '{"id":1}' : undefined, image });
  };
  const keyed = imagesOf(inArrays);
  const [a, b, c] = [await planOf("a"), await planOf("b"), await planOf("c", keyed[0])];
  const positions = `{${images.map(() => 7).join(",")}}`;
  await pool.query(appendSql(a), [jsonArray(images.map(spanOf)), positions, "public.a"]);
  const arrays = c.arrays && new TextArrays().of(keyed.map(spanOf), c.arrays);
  if (arrays === undefined) throw new Error("a type is not read as text");
  await pool.query(upsertAboveArraysSql(c), [...arrays, positions, "public.c"]);
  const text = new CopyData();
  if (b.copy === undefined) throw new Error("a type has no form");
  for (const image of images) expect(copyRow(spanOf(image), b.copy, 7n, text)).toBe(true);
  expect(b.binary).toBeUndefined();
  const few = imagesOf(received);
  const d = await planOf("d", few[0]);
  if (d.binary === undefined) throw new Error("a type has no form in the binary format");
  const binary = new CopyData(textPlace());
  const client = await pool.connect();
  const sequence = new StepSequence(client);
  sequence.add({ text: copySql(b, "text"), values: [], rows: text.bytes.subarray(0, text.length) });
  for (const image of few) {
    expect(copyBinary([{ ...inKernel(image), position: 7n }], d.binary, binary)).toBe(true);
    const rows = binary.bytes.subarray(0, binary.length);
    sequence.add({ text: copySql(d, "binary"), values: [], rows });
  }
  expect(await sequence.run()).toEqual([images.length, ...few.map(() => 1)]);
  client.release();
  await pool.end();
  const read = (table: string, types = names): Promise<object[]> =>
    db.query(
      `SELECT ${types.map((type) => `c${names.indexOf(type)}::text`).join(", ")}, _sluice_lsn FROM ${table}`,
    );
  expect(await read("b")).toEqual(await read("a"));
  expect(await read("c", inArrays)).toEqual(await read("a", inArrays));
  expect(await read("d", received)).toEqual(await read("a", received));
});

function inKernel(image: Buffer): Span {
  const [, put] = whereabouts[1] ?? expect.fail();
  return { bytes: put(image), start: 0, end: image.length };
}

/** A table that notes by which command each of its rows came. */
const watchedTable = `
  CREATE TABLE big (id int PRIMARY KEY, n int, _sluice_lsn bigint);
  CREATE TABLE way (id int, command text);
  CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.way VALUES (NEW.id, split_part(current_query(), ' ', 1)); RETURN NULL;
  END $$;
  CREATE TRIGGER note AFTER INSERT OR UPDATE ON big FOR EACH ROW EXECUTE FUNCTION note();
  ALTER TABLE big ENABLE ALWAYS TRIGGER note`;

interface Big {
  readonly op?: "c" | "u" | "d" | "r";
  readonly id: number;
  readonly n?: unknown;
  readonly position: number;
}

async function append(scene: Scene, changes: readonly Big[]): Promise<string> {
  const pipeline = scene.redis.pipeline();
  for (const { op = "c", id, n = id, position } of changes) {
    const after = op === "d" ? {} : { after: { id, n } };
    pipeline.xadd(scene.stream, "*", ...entryFields({ op, table: "big", key: { id }, position, ...after }));
  }
  return String((await pipeline.exec())?.at(-1)?.[1]);
}

async function applied(scene: Scene, id: string): Promise<void> {
  await expect.poll(() => scene.shard(), { timeout: 20_000, interval: 20 }).toMatchObject({ checkpoint: id });
}

function ways(scene: Scene): Promise<{ command: string; rows: number }[]> {
  return scene.db.query("SELECT command, count(*)::int AS rows FROM way GROUP BY 1 ORDER BY 1");
}

const inserts = (from: number, to: number, position: number): Big[] =>
  range(from, to).map((id) => ({ id, position: position + id }));

it("new rows come in by COPY, others by a statement; sent again they change nothing", async () => {
  await using scene = await createScene();
  await scene.db.query(watchedTable);
  await using member = await scene.startMember();
  // The first batch of a table has to ask for its tombstones.
  await applied(scene, await append(scene, inserts(1, 10, 100)));
  const changes = [...inserts(11, 300, 100), { op: "u" as const, id: 5, n: 55, position: 1_000 }];
  await applied(scene, await append(scene, changes));
  expect(await ways(scene)).toEqual([
    { command: "COPY", rows: expect.toSatisfy((rows: number) => rows >= 200) },
    { command: "INSERT", rows: expect.toSatisfy((rows: number) => rows >= 11) },
  ]);
  const before = await scene.db.query("SELECT * FROM big ORDER BY id");
  expect(before).toHaveLength(300);
  expect(before[4]).toMatchObject({ id: 5, n: 55, _sluice_lsn: "1000" });
  await applied(scene, await append(scene, changes));
  await applied(scene, await append(scene, inserts(301, 400, 2_000)));
  expect(await scene.db.query("SELECT * FROM big WHERE id <= 300 ORDER BY id")).toEqual(before);
  expect(await scene.db.query("SELECT count(*)::int AS n FROM big")).toEqual([{ n: 400 }]);
  expect(member.seen.codes).toEqual([]);
});

it("shards that ask for a table's plan at the same moment share it", async () => {
  await using scene = await createScene();
  await scene.db.query(watchedTable);
  const catalog = new Catalog(scene.db.pool);
  const table = readTable("public.big", {});
  // Each shard's decoder makes forms of its own.
  const [one, other] = [1, 2].map((position) => change(table, "c", position, { id: 1, n: 1 }));
  if (one === undefined || other === undefined) expect.fail();
  const plans = await Promise.all([catalog.plan(one), catalog.plan(other)]);
  expect(plans[1]).toBe(plans[0]);
  catalog.forget();
  expect(await catalog.plan(one)).not.toBe(plans[0]);
});

it("a COPY in binary form has at most 128 rows", async () => {
  await using scene = await createScene();
  await scene.db.query(
    `CREATE TABLE big (id int PRIMARY KEY, n int, _sluice_lsn bigint); CREATE TABLE copied (rows int, query text);
     CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO public.copied SELECT count(*), current_query() FROM added; RETURN NULL; END $$;
     CREATE TRIGGER note AFTER INSERT ON big REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION note();
     ALTER TABLE big ENABLE ALWAYS TRIGGER note`,
  );
  await using _member = await scene.startMember();
  await applied(scene, await append(scene, inserts(1, 10, 100)));
  await applied(scene, await append(scene, inserts(11, 2_000, 100)));
  const copies = await scene.db.query<{ rows: number }>(
    "SELECT rows FROM copied WHERE query LIKE '%FORMAT binary%'",
  );
  expect(Math.max(...copies.map(({ rows }) => rows))).toBe(128);
  expect(await scene.db.query("SELECT count(*)::int AS n FROM big")).toEqual([{ n: 2_000 }]);
});

it("rows in which only text knows a value go in as text", async () => {
  await using scene = await createScene();
  await scene.db.query(watchedTable);
  await scene.db.query(
    `CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO public.way VALUES (NEW.id, substring(current_query() from 'FORMAT [a-z]+')); RETURN NULL; END $$`,
  );
  await using member = await scene.startMember();
  await applied(scene, await append(scene, inserts(1, 10, 100)));
  const odd = (id: number): Big[] => [{ id, n: ` ${id}`, position: 100 + id }];
  await applied(scene, await append(scene, inserts(11, 60, 100)));
  await applied(
    scene,
    await append(scene, [...inserts(61, 110, 100), ...odd(111), ...inserts(112, 160, 100)]),
  );
  expect(member.seen.codes).toEqual([]);
  expect(await scene.db.query("SELECT count(*)::int AS n FROM big WHERE n = id")).toEqual([{ n: 160 }]);
  const found = await ways(scene);
  expect(found).toContainEqual({ command: "FORMAT binary", rows: expect.any(Number) });
  expect(await scene.db.query("SELECT command FROM way WHERE id = 111")).toEqual([
    { command: "FORMAT text" },
  ]);
});

it("COPY brings back no row that was deleted or truncated since (I4)", async () => {
  await using scene = await createScene();
  await scene.db.query(watchedTable);
  await using member = await scene.startMember();
  await applied(scene, await append(scene, inserts(1, 100, 100)));
  await applied(scene, await append(scene, [{ op: "d", id: 150, position: 900 }]));
  // Another shard deletes a row that is yet to come, and truncates: neither is known to this one.
  await scene.db.query("INSERT INTO sluice.tombstone (table_name, key, position) VALUES ($1, $2, 5000)", [
    "public.big",
    '{"id":210}',
  ]);
  await applied(scene, await append(scene, inserts(200, 260, 1_000)));
  await scene.db.query("INSERT INTO sluice.truncation (table_name, position) VALUES ('public.big', 9000)");
  await applied(scene, await append(scene, inserts(301, 360, 8_000)));
  await applied(scene, await append(scene, inserts(701, 760, 9_000)));
  const rows = await scene.db.query<{ id: number }>("SELECT id FROM big WHERE id > 100 ORDER BY id");
  expect(rows.map(({ id }) => id)).toEqual([
    ...range(200, 260).filter((id) => id !== 210),
    ...range(701, 760),
  ]);
  expect(member.seen.codes).toEqual([]);
});

it("a value that COPY refuses is named with its entry, and what came before it is there", async () => {
  await using scene = await createScene();
  await scene.db.query(watchedTable);
  await using member = await scene.startMember();
  await applied(scene, await append(scene, inserts(1, 50, 100)));
  const changes = inserts(101, 200, 100).map((each) => (each.id === 150 ? { ...each, n: 2 ** 40 } : each));
  await append(scene, changes);
  await expect.poll(() => scene.shard(), { timeout: 20_000 }).toMatchObject({ state: "stopped" });
  expect(member.seen.codes).toEqual(["VALUE_INVALID"]);
  const rows = await scene.db.query<{ id: number }>("SELECT id FROM big WHERE id > 50 ORDER BY id");
  expect(rows.map(({ id }) => id)).toEqual(range(101, 149));
});

it("tables without a key are copied too, each row once", async () => {
  await using scene = await createScene();
  await using _member = await scene.startMember();
  await scene.append(1, 500);
  await scene.expectAppliedOnce(500);
});
