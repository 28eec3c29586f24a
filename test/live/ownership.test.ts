import pg from "pg";
import { expect, inject, it } from "vitest";
import { ShardStore } from "../../src/sink/shard-store.ts";
import { entryFields, numberedEntries } from "../support/entries.ts";
import { createScene, holdBatches, range, sessionThatWaits, type Scene } from "../support/scene.ts";
import { startSluice } from "../support/sluice-process.ts";

const batchEntries = 20;

it("commits checkpoint and rows together: sessions ended in the middle of a batch lose and double nothing (I1)", async () => {
  await using scene = await createScene({ config: { batchEntries } });
  await using member = await scene.startMember();
  const rounds = 12;
  for (let round = 0; round < rounds; round++) {
    await using batch = await holdBatches(scene.db);
    await scene.append(round * 50 + 1, round * 50 + 50);
    const pid = await batch.waiting();
    await scene.db.query("SELECT pg_terminate_backend($1)", [pid]);
    await expect
      .poll(() => scene.db.query("SELECT FROM pg_stat_activity WHERE pid = $1", [pid]))
      .toHaveLength(0);
  }
  await scene.expectAppliedOnce(rounds * 50);
  const failures = member.seen.codes.filter((code) => code === "DATABASE_UNAVAILABLE");
  expect(failures.length).toBeGreaterThanOrEqual(rounds);
});

/** Gives the shard to a member `thief` behind the back of its owner. */
async function steal(scene: Scene, db: { query(text: string): Promise<unknown> }): Promise<void> {
  await db.query(
    `UPDATE sluice.shard SET owner = 'thief', epoch = epoch + 1,
       lease_until = clock_timestamp() + ${scene.config.leaseMs * 1.9} * interval '1 ms'
     WHERE stream = '${scene.stream}'`,
  );
}

it("writes nothing of a batch whose lease was taken, and lets that shard alone go with LEASE_LOST (I2)", async () => {
  await using scene = await createScene({ shards: 2 });
  await using member = await scene.startMember();
  const other = scene.streams[1];
  await scene.append(1, 20);
  await scene.expectAppliedOnce(20);
  const before = await scene.shard();
  const client = await scene.db.pool.connect();
  await client.query("BEGIN");
  await steal(scene, client);
  await scene.append(21, 40);
  // The batch's first statement waits for the thief's transaction.
  await sessionThatWaits(scene.db, "member");
  await client.query("COMMIT");
  client.release();
  await expect.poll(() => member.seen.codes).toContain("LEASE_LOST");
  const { checkpoint, entries, changes, epoch } = before;
  const stolen = { checkpoint, entries, changes, epoch: epoch + 1, owner: "thief", leased: true };
  expect(await scene.shard()).toMatchObject(stolen);
  expect(await scene.history()).toHaveLength(20);
  await scene.append(1, 20, other);
  await scene.expectAppliedOnce(20, other);
  expect(await scene.shard(other)).toMatchObject({ owner: "member", epoch: 1 });
  expect(await scene.shard()).toMatchObject(stolen);
  await member.pipeline.drain();
  expect(await scene.shard()).toMatchObject(stolen);
});

it("learns that its lease was taken also when it has nothing to write, and takes the shard again when it is free", async () => {
  await using scene = await createScene({ config: { leaseMs: 1_000 } });
  await using member = await scene.startMember();
  await scene.append(1, 5);
  await scene.expectAppliedOnce(5);
  const { epoch } = await scene.shard();
  await steal(scene, scene.db);
  await scene.append(6, 10);
  await expect.poll(() => member.seen.codes).toContain("LEASE_LOST");
  expect(await scene.history()).toHaveLength(5);
  await scene.db.query("UPDATE sluice.shard SET owner = NULL, lease_until = NULL");
  await scene.expectAppliedOnce(10);
  expect(await scene.shard()).toMatchObject({ owner: "member", epoch: epoch + 2 });
});

/** Awake again at the end at the latest: it could not be asked to end otherwise. */
function stopProcess(pid: number): Disposable & { wake(): void } {
  process.kill(pid, "SIGSTOP");
  let asleep = true;
  const wake = (): void => {
    if (asleep) process.kill(pid, "SIGCONT");
    asleep = false;
  };
  return { wake, [Symbol.dispose]: wake };
}

it("takes over from a process that was paused beyond its lease; it wakes without doubling anything (I2)", async () => {
  await using scene = await createScene({ config: { leaseMs: 1_000, batchEntries } });
  await using paused = await startSluice({
    SLUICE_REDIS_URL: inject("redisUrl"),
    SLUICE_DATABASE_URL: scene.db.url,
    SLUICE_STREAMS: scene.stream,
    SLUICE_MEMBER: "paused",
    SLUICE_LEASE: "1s",
    SLUICE_BATCH_ENTRIES: String(batchEntries),
  });
  await paused.waitReady();
  await using batch = await holdBatches(scene.db);
  await scene.append(1, 200);
  await batch.waiting("paused");
  // It holds entries that it has read ahead, and a transaction in front of the lock.
  using asleep = stopProcess(paused.process.pid);
  await batch.release();
  const { epoch } = await scene.shard();
  await using heir = await scene.startMember({ member: "heir" });
  await expect
    .poll(() => scene.shard(), { timeout: 20_000 })
    .toMatchObject({ owner: "heir", epoch: epoch + 1 });
  await expect.poll(async () => (await scene.history()).length, { timeout: 10_000 }).toBeGreaterThan(0);
  asleep.wake();
  await scene.append(201, 400);
  await scene.expectAppliedOnce(400);
  // Awake, it is one of two members again; whoever owns the shard, it goes on.
  await expect.poll(() => paused.waitReady(1_000).then(() => true), { timeout: 10_000 }).toBe(true);
  await scene.append(401, 450);
  await scene.expectAppliedOnce(450);
  expect(heir.pipeline.health().registered).toBe(true);
});

/** A batch whose COMMIT waits for the member to have seen the answers, since an unchanged large value is left out. */
async function appendAnswered(scene: Scene): Promise<void> {
  const key = { shard: scene.stream, id: 100 };
  await scene.db.query(
    `ALTER TABLE item ADD note text; INSERT INTO item VALUES ('${scene.stream}', 100, 1, 0, 'large')`,
  );
  const [history = [], item = []] = numberedEntries(scene.stream, 1);
  const after = { ...key, number: 2, note: "__debezium_unavailable_value" };
  const partial = entryFields({ op: "u", table: "item", key, position: 1, after });
  const step = scene.redis.multi().xadd(scene.stream, "*", ...history);
  await step
    .xadd(scene.stream, "*", ...item)
    .xadd(scene.stream, "*", ...partial)
    .exec();
}

/** Milliseconds until the lease runs out by the database's clock. */
async function leaseLeft(scene: Scene): Promise<number> {
  const [row] = await scene.db.query<{ left: number }>(
    `SELECT extract(epoch FROM lease_until - clock_timestamp())::float8 * 1000 AS left
     FROM sluice.shard WHERE stream = $1`,
    [scene.stream],
  );
  return row?.left ?? 0;
}

it("takes over within the lease and a second from a process that froze in the middle of a transaction", async () => {
  const leaseMs = 4_000;
  await using scene = await createScene({ config: { leaseMs } });
  await using frozen = await startSluice({
    SLUICE_REDIS_URL: inject("redisUrl"),
    SLUICE_DATABASE_URL: scene.db.url,
    SLUICE_STREAMS: scene.stream,
    SLUICE_MEMBER: "frozen",
    SLUICE_LEASE: `${leaseMs}ms`,
  });
  await frozen.waitReady();
  await using heir = await scene.startMember({ member: "heir" });
  await expect.poll(() => scene.shard()).toMatchObject({ owner: "frozen" });
  await using batch = await holdBatches(scene.db);
  await appendAnswered(scene);
  const pid = await batch.waiting("frozen");
  using asleep = stopProcess(frozen.process.pid);
  const frozenAt = performance.now();
  // The time limit of an idle transaction begins late, when the statement is done.
  await expect.poll(() => leaseLeft(scene), { timeout: leaseMs, interval: 20 }).toBeLessThan(leaseMs * 0.3);
  await batch.release();
  const idle = "SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'idle in transaction'";
  await expect.poll(() => scene.db.query(idle, [pid])).toHaveLength(1);
  await expect
    .poll(() => scene.shard(), { timeout: 20_000, interval: 20 })
    .toMatchObject({ owner: "heir", changes: 3 });
  expect(performance.now() - frozenAt).toBeLessThan(leaseMs + 1_000);
  asleep.wake();
  await scene.append(2, 20);
  await expect.poll(() => scene.history(), { timeout: 20_000 }).toEqual(range(1, 20));
  expect(heir.pipeline.health().registered).toBe(true);
});

it("ends the session that holds an expired shard only once its owner gives no sign of life, and only that owner's", async () => {
  await using scene = await createScene();
  const { db, stream } = scene;
  await db.query(
    `INSERT INTO sluice.shard (pipeline, stream, owner, lease_until) VALUES ('default', $1, 'one', now() - interval '1 s')`,
    [stream],
  );
  await db.query(
    "INSERT INTO sluice.member (pipeline, name, instance, host, version) VALUES ('default', 'one', gen_random_uuid(), '', '')",
  );
  const heir = new ShardStore({ pool: db.pool, pipeline: "default", member: "heir", leaseMs: 60_000 });
  const isLocked = async (application: string): Promise<AsyncDisposable> => {
    const client = new pg.Client({ connectionString: db.url, application_name: application });
    client.on("error", () => undefined);
    await client.connect();
    await client.query("BEGIN");
    await client.query("SELECT FROM sluice.shard FOR UPDATE");
    return { [Symbol.asyncDispose]: () => client.end() };
  };
  const silent = "UPDATE sluice.member SET last_seen = now() - interval '2 minutes'";
  {
    await using _living = await isLocked("sluice:one");
    expect(await heir.take([stream])).toEqual([]);
  }
  await db.query(silent);
  {
    await using _another = await isLocked("sluice:another");
    expect(await heir.take([stream])).toEqual([]);
  }
  await using _dead = await isLocked("sluice:one");
  expect(await heir.take([stream])).toMatchObject([{ stream, epoch: "1" }]);
});

it("does not call a shard running that was given back before its state could be told", async () => {
  await using scene = await createScene();
  const { db, stream } = scene;
  const shards = new ShardStore({ pool: db.pool, pipeline: "default", member: "one", leaseMs: 60_000 });
  await shards.register([stream]);
  const [lease] = await shards.take([stream]);
  if (lease === undefined) throw new Error("The shard was not taken.");
  await shards.setState(lease, "retrying", undefined);
  expect(await scene.shard()).toMatchObject({ owner: "one", state: "retrying" });
  await shards.release(lease);
  await shards.setState(lease, "running", undefined);
  expect(await scene.shard()).toMatchObject({ owner: null, state: "free" });
});

it("ends with MEMBER_REPLACED when another process takes its name, and doubles nothing", async () => {
  await using scene = await createScene({ config: { leaseMs: 1_000 } });
  await using first = await scene.startMember();
  await scene.append(1, 100);
  await using second = await scene.startMember();
  await scene.append(101, 200);
  expect(await first.pipeline.failed).toMatchObject({ code: "MEMBER_REPLACED" });
  await first.pipeline.drain();
  await scene.append(201, 300);
  await scene.expectAppliedOnce(300);
  expect(second.pipeline.health().registered).toBe(true);
});
