import { expect, inject, it } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { copyRow, CopyText } from "../../src/decode/copy-text.ts";
import { spanOf } from "../../src/decode/span.ts";
import { TextArrays } from "../../src/decode/text-arrays.ts";
import { openPool } from "../../src/sink/connect.ts";
import { StepSequence } from "../../src/sink/step-sequence.ts";
import { jsonArray } from "../../src/sink/statements/rows.ts";
import { appendSql, copySql, upsertAboveArraysSql } from "../../src/sink/statements/write-rows.ts";
import { createDatabase } from "../support/database.ts";
import { entryFields } from "../support/entries.ts";
import { migrated } from "../support/member.ts";
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
};

it("COPY and arrays of texts give every value as the statement does that reads JSON", async () => {
  await using db = await createDatabase(inject("postgresUrl"));
  await migrated(db.url);
  const names = Object.keys(values);
  const columns = names.map((type, index) => `c${index} ${type}`).join(", ");
  await db.query(
    `CREATE TYPE mood AS ENUM ('good', 'so so'); CREATE TABLE a (id int, ${columns}, _sluice_lsn bigint);
     CREATE TABLE b (LIKE a); CREATE TABLE c (LIKE a, PRIMARY KEY (id))`,
  );
  const rows = range(0, 6).map((row) => ({
    id: row,
    ...Object.fromEntries(names.map((type, index) => [`c${index}`, values[type]?.[row] ?? null])),
  }));
  const images = rows.map((row) => Buffer.from(JSON.stringify(row)));
  const pool = openPool({ url: db.url, applicationName: "test", max: 1, applying: true });
  const catalog = new Catalog(pool);
  const planOf = (table: string) => {
    const { form } = change(readTable(`public.${table}`, {}), "c", 7, { id: 1 });
    return catalog.plan({ form, key: table === "c" ? '{"id":1}' : undefined, image: images[0] });
  };
  const [a, b, c] = [await planOf("a"), await planOf("b"), await planOf("c")];
  const positions = `{${images.map(() => 7).join(",")}}`;
  await pool.query(appendSql(a), [jsonArray(images.map(spanOf)), positions, "public.a"]);
  const arrays = c.arrays && new TextArrays().of(images.map(spanOf), c.arrays);
  if (arrays === undefined) throw new Error("a type is not read as text");
  await pool.query(upsertAboveArraysSql(c), [...arrays, positions, "public.c"]);
  const text = new CopyText();
  if (b.copy === undefined) throw new Error("a type has no form");
  for (const image of images) expect(copyRow(spanOf(image), b.copy, 7n, text)).toBe(true);
  const client = await pool.connect();
  const sequence = new StepSequence(client);
  sequence.add({ text: copySql(b), values: [], rows: text.bytes.subarray(0, text.length) });
  expect(await sequence.run()).toEqual([rows.length]);
  client.release();
  await pool.end();
  const read = (table: string): Promise<object[]> =>
    db.query(`SELECT ${names.map((_, index) => `c${index}::text`).join(", ")}, _sluice_lsn FROM ${table}`);
  expect(await read("b")).toEqual(await read("a"));
  expect(await read("c")).toEqual(await read("a"));
});

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
