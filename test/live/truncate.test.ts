import { expect, it } from "vitest";
import { createScene, sessionThatWaits, type Scene } from "../support/scene.ts";

const slow = { timeout: 30_000, interval: 20 };
/** Statements are cancelled after 1.6 s. */
const config = { leaseMs: 2_000, stoppedRetryMs: 100 };
const rows = 2_000;

/** A row fills a page. Each takes a millisecond to delete, all of them far more than a statement may take. */
const slowToDelete = `
  CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN OLD; END $$;
  CREATE TRIGGER slowly BEFORE DELETE ON big FOR EACH ROW EXECUTE FUNCTION slowly();
  ALTER TABLE big ENABLE ALWAYS TRIGGER slowly;
  INSERT INTO big SELECT n, repeat('x', 5000), 10 FROM generate_series(1, ${rows}) AS n`;

const plain = `CREATE TABLE big (id int PRIMARY KEY, pad text, _sluice_lsn bigint);
  ALTER TABLE big ALTER pad SET STORAGE PLAIN;`;
const partitioned = `
  CREATE TABLE big (id int PRIMARY KEY, pad text, _sluice_lsn bigint) PARTITION BY RANGE (id);
  ALTER TABLE big ALTER pad SET STORAGE PLAIN;
  CREATE TABLE big_1 PARTITION OF big FOR VALUES FROM (0) TO (1000);
  CREATE TABLE big_2 PARTITION OF big DEFAULT;`;

async function appendTruncate(scene: Scene, position: number): Promise<string | null> {
  const source = { ts_ms: 1_700_000_000_000, schema: "public", table: "big", lsn: position };
  const value = JSON.stringify({ before: null, after: null, source, op: "t" });
  return await scene.redis.xadd(scene.stream, "*", "key", "default", "value", value);
}

async function truncate(scene: Scene, position: number): Promise<void> {
  const id = await appendTruncate(scene, position);
  await expect.poll(async () => (await scene.shard()).checkpoint, slow).toBe(id);
}

const file = "SELECT pg_relation_filenode('big') AS file";

it.each([
  ["a table", plain],
  ["a partitioned table", partitioned],
])("empties %s that one statement cannot, and keeps what is newer", async (_, create) => {
  await using scene = await createScene({ config });
  await scene.db.query(
    `${create} ${slowToDelete}; INSERT INTO big VALUES (${rows + 1}, 'newer', 60), (0, 'newer', 50)`,
  );
  await using member = await scene.startMember();
  await truncate(scene, 50);
  expect(await scene.db.query("SELECT id FROM big ORDER BY id")).toEqual([{ id: 0 }, { id: rows + 1 }]);
  expect(member.seen.codes).toEqual([]);
});

it("applies what stands before a TRUNCATE in one read while that still waits, and what stands behind it afterwards (I1)", async () => {
  await using scene = await createScene();
  await scene.db.query(plain);
  await scene.append(1, 3);
  await appendTruncate(scene, 3);
  await scene.append(4, 5);
  const writer = await scene.db.pool.connect();
  await writer.query("BEGIN; LOCK TABLE big IN ROW EXCLUSIVE MODE");
  await using member = await scene.startMember();
  await sessionThatWaits(scene.db, "member");
  const before = await scene.history();
  await writer.query("COMMIT");
  writer.release();
  expect(before).toEqual([1, 2, 3]);
  await expect.poll(() => scene.history()).toEqual([1, 2, 3, 4, 5]);
  expect(member.seen.codes).toEqual([]);
});

it("empties a large table that holds nothing newer by a TRUNCATE of its own", async () => {
  await using scene = await createScene({ config });
  await scene.db.query(`${plain} ${slowToDelete}`);
  const before = await scene.db.query(file);
  await using member = await scene.startMember();
  await truncate(scene, 50);
  expect(await scene.db.query("SELECT FROM big")).toEqual([]);
  expect(await scene.db.query(file)).not.toEqual(before);
  expect(member.seen.codes).toEqual([]);
});

it("empties a large table to which a foreign key leads, or that somebody reads all the while", async () => {
  await using scene = await createScene({ config });
  await scene.db.query(`${plain} ${slowToDelete}; CREATE TABLE pointer (id int REFERENCES big)`);
  await using member = await scene.startMember();
  await truncate(scene, 50);
  expect(await scene.db.query("SELECT FROM big")).toEqual([]);
  await scene.db.query(
    `DROP TABLE pointer; INSERT INTO big SELECT n, repeat('x', 5000), 55 FROM generate_series(1, ${rows}) AS n`,
  );
  const reader = await scene.db.pool.connect();
  await reader.query("BEGIN; SELECT count(*) FROM big");
  await truncate(scene, 60);
  await reader.query("COMMIT");
  reader.release();
  expect(await scene.db.query("SELECT FROM big")).toEqual([]);
  expect(member.seen.codes).toEqual([]);
});

it("leaves a row alone that waits to be removed, whatever older update comes", async () => {
  await using scene = await createScene({ config });
  await scene.db.query(`${plain} INSERT INTO big VALUES (1, 'old', 10)`);
  await scene.db.query("INSERT INTO sluice.truncation (table_name, position) VALUES ('public.big', 50)");
  await using member = await scene.startMember();
  const source = { ts_ms: 1_700_000_000_000, schema: "public", table: "big", lsn: 20 };
  const value = { before: null, after: { id: 1, pad: "__debezium_unavailable_value" }, source, op: "u" };
  const entry = ["key", JSON.stringify({ id: 1 }), "value", JSON.stringify(value)];
  const id = await scene.redis.xadd(scene.stream, "*", ...entry);
  await expect.poll(async () => (await scene.shard()).checkpoint, slow).toBe(id);
  expect(await scene.db.query("SELECT _sluice_lsn::int AS lsn FROM big")).toEqual([{ lsn: 10 }]);
  expect(member.seen.codes).toEqual([]);
});
