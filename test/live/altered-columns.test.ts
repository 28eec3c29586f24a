import { expect, it } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { change, readTable } from "../support/plans.ts";
import { entryFields } from "../support/entries.ts";
import { createScene, type Scene } from "../support/scene.ts";

const slow = { timeout: 20_000, interval: 20 };

/** Adds a row of the table `t` and waits until it is applied. */
async function write(scene: Scene, id: number, row: object): Promise<void> {
  const fields = entryFields({ op: "c", table: "t", key: { id }, after: { id, ...row }, position: id });
  const entry = await scene.redis.xadd(scene.stream, "*", ...fields);
  await expect.poll(async () => (await scene.shard()).checkpoint, slow).toBe(entry);
}

/** What a row has, each column as text. */
async function read(scene: Scene, id: number): Promise<unknown> {
  const [row] = await scene.db.query("SELECT amount::text, rate::text, code FROM t WHERE id = $1", [id]);
  return row;
}

it("writes finer values exactly once a column was widened under a running member, without an error that stays", async () => {
  await using scene = await createScene({});
  await scene.db.query(
    "CREATE TABLE t (id int PRIMARY KEY, amount numeric(10,2), rate real, code char(4), _sluice_lsn bigint)",
  );
  await using member = await scene.startMember();
  await write(scene, 1, { amount: "1.23", rate: 1.1, code: "ab  " });
  expect(await read(scene, 1)).toEqual({ amount: "1.23", rate: "1.1", code: "ab  " });
  await scene.db.query(
    `ALTER TABLE t ALTER amount TYPE numeric(10,4), ALTER rate TYPE double precision, ALTER code TYPE text`,
  );
  await write(scene, 2, { amount: "1.2345", rate: 3.141592653589793, code: null });
  expect(await read(scene, 2)).toEqual({ amount: "1.2345", rate: "3.141592653589793", code: null });
  expect(member.seen.codes).toEqual([]);
});

it("notices a change of a column's type that makes no statement fail", async () => {
  await using scene = await createScene({});
  await scene.db.query(
    "CREATE TABLE t (id int PRIMARY KEY, amount numeric, rate real, code char(4), _sluice_lsn bigint)",
  );
  await using _member = await scene.startMember();
  await write(scene, 1, { code: "ab  " });
  await scene.db.query("ALTER TABLE t ALTER code TYPE text");
  let id = 1;
  // What was a char(4) would lose its blanks on the way into a text.
  const next = async (): Promise<unknown> => {
    await write(scene, ++id, { code: "ab  " });
    return read(scene, id);
  };
  await expect.poll(next, slow).toMatchObject({ code: "ab  " });
});

const { table } = { table: readTable("public.t", {}) };
const insert = change(table, "c", 1, { id: 1, v: "x" });

it.each([
  ["another type", "ALTER TABLE t ALTER v TYPE varchar(9)"],
  ["another modifier", "ALTER TABLE t ALTER n TYPE numeric(10,4)"],
  ["another name", "ALTER TABLE t RENAME n TO m"],
  ["a new column", "ALTER TABLE t ADD w int"],
  ["another key", "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, v)"],
  [
    "another table of its name",
    "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2), _sluice_lsn bigint)",
  ],
])("the catalog forgets a table with %s, and no other", async (_, ddl) => {
  await using scene = await createScene({});
  const columns = "(id int PRIMARY KEY, v text, n numeric(10,2), _sluice_lsn bigint)";
  await scene.db.query(`CREATE TABLE t ${columns}; CREATE TABLE other ${columns}`);
  const catalog = new Catalog(scene.db.pool);
  const other = change(readTable("public.other", {}), "c", 1, { id: 1 });
  await catalog.plan(insert);
  await catalog.plan(other);
  await catalog.refresh();
  expect(catalog.knownPlan(insert)).toBeDefined();
  await scene.db.query(ddl);
  await catalog.refresh();
  expect(catalog.knownPlan(insert)).toBeUndefined();
  expect(catalog.knownPlan(other)).toBeDefined();
});
