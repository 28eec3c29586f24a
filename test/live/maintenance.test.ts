import { expect, it } from "vitest";
import { startRedis } from "../../demo/local/redis-server.ts";
import { createTempFolder } from "../../demo/local/temp-folder.ts";
import { trim, type TrimReport } from "../../src/cli/trim.ts";
import { Trimmer, type TrimRound } from "../../src/maintenance/trimmer.ts";
import { MaintenanceStore } from "../../src/sink/maintenance-store.ts";
import { readStreamFindings } from "../../src/sink/stream-record-store.ts";
import { BufferPool } from "../../src/source/buffer-pool.ts";
import { ReadTurns } from "../../src/source/read-turns.ts";
import { ShardReader } from "../../src/source/shard-reader.ts";
import { readStreamFacts } from "../../src/source/stream-facts.ts";
import { createKeptStream } from "../support/kept-stream.ts";

/** Entries of a node, which is not taken apart. */
const node = 100;
const hour = 3_600_000;

it("removes what is applied and never an entry behind the checkpoint, also when memory is short (I6)", async () => {
  for (const memoryHigh of ["80%", "1B"]) {
    await using kept = await createKeptStream();
    const ids = await kept.add(1_000);
    await kept.applied(ids, 555);
    await kept.maintenance({ memoryHigh }).maintenance.round();
    const left = await kept.left();
    expect(left.slice(-445)).toEqual(ids.slice(555));
    expect(left.length).toBeLessThan(445 + node);
  }
});

it("removes nothing of a shard that has applied nothing, or whose group is missing, or that lies behind its checkpoint", async () => {
  await using kept = await createKeptStream();
  const ids = await kept.add(300);
  const { maintenance } = kept.maintenance({ memoryHigh: "1B" });
  await maintenance.round();
  await kept.applied(ids, 300);
  await kept.redis.xgroup("DESTROY", kept.stream, "sluice");
  await maintenance.round();
  // As if Redis had come back without the last entries, and new ones had got ids that the checkpoint has passed.
  await kept.applied(ids, 300);
  await kept.db.query("UPDATE sluice.shard SET checkpoint = $1", [`${Date.now() + hour}-0`]);
  await maintenance.round();
  expect(await kept.left()).toEqual(ids);
});

it("removes nothing of a shard that was put back, or is about to be, after the round was planned", async () => {
  await using kept = await createKeptStream();
  const { db, redis, stream, config } = kept;
  const ids = await kept.add(1_000);
  await kept.applied(ids, 1_000);
  const store = new MaintenanceStore(db.pool, config.pipeline);
  const trimmer = new Trimmer({ config, progress: { entriesTrimmed: () => undefined } });
  const plan = async () => {
    const shards = await store.durableShards();
    const round: TrimRound = {
      ...{ redis, shards, nowMs: Date.now(), server: { maxmemory: 0 } },
      streams: await readStreamFacts(redis, [stream], config.group),
      stopping: new AbortController().signal,
      stands: (shard) => store.stands(shard),
    };
    const plans = await trimmer.plan(round);
    return () => trimmer.trim(round, plans);
  };
  const held = await db.pool.connect();
  await held.query("BEGIN");
  const planned = await plan();
  await held.query("SELECT FROM sluice.shard FOR UPDATE");
  await planned();
  await held.query("COMMIT");
  held.release();
  for (const change of ["epoch = epoch + 1", `checkpoint = '${ids[499]}', entries = 500`]) {
    const again = await plan();
    await db.query(`UPDATE sluice.shard SET ${change}`);
    await again();
  }
  expect(await kept.left()).toHaveLength(1_000);
  const current = await plan();
  const batch = await db.pool.connect();
  await batch.query("BEGIN");
  await batch.query("UPDATE sluice.shard SET updated_at = now()");
  await current();
  await batch.query("COMMIT");
  batch.release();
  expect((await kept.left()).length).toBeLessThan(500 + node);
});

it("keeps what another group has pending or has not read, also when memory is short", async () => {
  await using kept = await createKeptStream();
  const ids = await kept.add(1_000);
  await kept.applied(ids, 1_000);
  const { redis, stream } = kept;
  await redis.xgroup("CREATE", stream, "audit", "0");
  const { maintenance } = kept.maintenance({ memoryHigh: "1B" });
  await maintenance.round();
  expect(await kept.left()).toHaveLength(1_000);
  await redis.xreadgroup("GROUP", "audit", "reader", "COUNT", 600, "STREAMS", stream, ">");
  await redis.xack(stream, "audit", ...ids.slice(0, 250), ...ids.slice(251, 600));
  await maintenance.round();
  const left = await kept.left();
  expect(left.slice(-750)).toEqual(ids.slice(250));
  expect(left.length).toBeLessThan(750 + node);
});

it("keeps applied entries for SLUICE_RETAIN_AGE, and gives that up when memory is short", async () => {
  await using kept = await createKeptStream();
  const ids = [...(await kept.add(500, 2 * hour)), ...(await kept.add(500, hour / 2))];
  await kept.applied(ids, 1_000);
  await kept.maintenance({ retainAgeMs: hour }).maintenance.round();
  const left = await kept.left();
  expect(left.slice(-500)).toEqual(ids.slice(500));
  expect(left.length).toBeLessThan(500 + node);
  await kept.maintenance({ retainAgeMs: hour, memoryHigh: "1B" }).maintenance.round();
  expect((await kept.left()).length).toBeLessThan(node);
});

it.each(["entries", "bytes"] as const)(
  "keeps the newest applied entries up to the limit of %s",
  async (by) => {
    await using kept = await createKeptStream();
    const ids = await kept.add(3_000);
    await kept.applied(ids, 2_500);
    const memory = Number(await kept.redis.memory("USAGE", kept.stream, "SAMPLES", 0));
    const limit =
      by === "entries" ? { retainEntries: 700 } : { retainBytes: Math.round((memory * 700) / 3_000) };
    const { maintenance } = kept.maintenance({ retainAgeMs: hour, ...limit });
    await maintenance.round();
    const left = await kept.left();
    expect(left.slice(-500)).toEqual(ids.slice(2_500));
    // What stays of applied ones; Redis estimates bytes.
    expect(left.length - 500).toBeGreaterThanOrEqual(by === "entries" ? 700 : 550);
    expect(left.length - 500).toBeLessThan(by === "entries" ? 700 + 2 * node : 950);
  },
);

it("gives up no more for memory than it must", async () => {
  const folder = createTempFolder("sluice-redis-");
  await using stack = new AsyncDisposableStack();
  stack.use(folder);
  const server = await startRedis({ folder: `${folder.path}/redis` });
  stack.defer(() => server.stop());
  await using kept = await createKeptStream(server.url);
  const ids = await kept.add(60_000);
  await kept.applied(ids, 60_000);
  const used = Number(/used_memory:(\d+)/.exec(await kept.redis.info("memory"))?.[1]);
  const { maintenance, began } = kept.maintenance({ retainAgeMs: hour, memoryHigh: `${used - 2 ** 20}B` });
  await maintenance.round();
  const left = (await kept.left()).length;
  expect(left).toBeLessThan(60_000);
  expect(left).toBeGreaterThan(30_000);
  expect(began.map(({ code }) => code)).toContain("REDIS_MEMORY_HIGH");
});

it("takes from all streams alike when memory is short", async () => {
  const folder = createTempFolder("sluice-redis-");
  await using stack = new AsyncDisposableStack();
  stack.use(folder);
  const server = await startRedis({ folder: `${folder.path}/redis` });
  stack.defer(() => server.stop());
  await using kept = await createKeptStream(server.url);
  const { db, redis, stream, otherStream } = kept;
  const ids = await kept.add(40_000);
  await kept.applied(ids, 40_000);
  const others = await kept.add(40_000, 0, otherStream);
  await redis.xgroup("CREATE", otherStream, "sluice", "$");
  await db.query(
    "INSERT INTO sluice.shard (pipeline, stream, checkpoint, entries) VALUES ('default', $1, $2, 40000)",
    [otherStream, others.at(-1)],
  );
  const used = Number(/used_memory:(\d+)/.exec(await redis.info("memory"))?.[1]);
  const config = { retainAgeMs: hour, memoryHigh: `${used - 2 ** 21}B`, streams: [stream, otherStream] };
  const nothing = { isRead: true, removeConsumers: () => undefined, countDeleted: () => undefined };
  const both = [stream, otherStream].map((each) => ({ stream: each, ...nothing }));
  await kept.maintenance(config, both).maintenance.round();
  const [left, otherLeft] = [(await kept.left()).length, (await kept.left(otherStream)).length];
  expect(left + otherLeft).toBeLessThan(80_000);
  expect(Math.abs(left - otherLeft)).toBeLessThanOrEqual(2_000 + node);
});

it("lets the consumers of members that are gone be removed by the shard's reader, and adds the owner's (registered = running)", async () => {
  await using kept = await createKeptStream();
  const { redis, stream, config } = kept;
  const options = {
    stream,
    group: "sluice",
    member: "member",
    maxEntries: 10,
    targetBytes: 10_000,
    blockMs: 10,
    buffers: new BufferPool(1),
    turns: new ReadTurns(),
  };
  const reader = await ShardReader.open({ url: config.redisUrl, ...options });
  await reader.rewind({ id: undefined, entries: 0n });
  await reader.read({ wait: false });
  for (const name of ["gone", "late"]) await redis.xgroup("CREATECONSUMER", stream, "sluice", name);
  await redis.xgroup("DELCONSUMER", stream, "sluice", "member");
  const { maintenance } = kept.maintenance({}, [
    {
      stream,
      isRead: true,
      removeConsumers: (names) => reader.removeConsumers(names),
      countDeleted: () => undefined,
    },
  ]);
  await maintenance.round();
  await reader.read({ wait: false });
  reader.close();
  const consumers = (await redis.xinfo("CONSUMERS", stream, "sluice")) as string[][];
  expect(consumers.map(([, name]) => name)).toEqual(["member"]);
});

it("retires an earlier generation's shard, and removes its stream once nobody owns it", async () => {
  await using kept = await createKeptStream();
  const { db, redis, stream, otherStream } = kept;
  await db.query(
    "INSERT INTO sluice.shard (pipeline, stream, generation, checkpoint, entries) VALUES ('default', $1, 2, '5-0', 1)",
    [otherStream],
  );
  await db.query(
    "UPDATE sluice.shard SET owner = 'member', lease_until = now() + interval '1 hour' WHERE stream = $1",
    [stream],
  );
  await kept.applied(await kept.add(20), 20);
  await redis.xgroup("CREATE", stream, "audit", "0");
  const { maintenance } = kept.maintenance({ streams: [otherStream] });
  const retired = async () =>
    (await db.query("SELECT FROM sluice.shard WHERE retired_at IS NOT NULL")).length;
  await maintenance.round();
  expect(await retired()).toBe(0);
  await redis.xgroup("DESTROY", stream, "audit");
  await maintenance.round();
  expect(await retired()).toBe(1);
  await maintenance.round();
  expect(await redis.exists(stream)).toBe(1);
  await db.query("UPDATE sluice.shard SET owner = NULL WHERE stream = $1", [stream]);
  await maintenance.round();
  expect(await redis.exists(stream)).toBe(0);
});

it("prunes tombstones and saved images that no entry left in any stream can contradict, and no others", async () => {
  await using kept = await createKeptStream();
  const { db } = kept;
  await kept.add(5, 2 * hour);
  const tombstones = async (): Promise<string[]> =>
    (await db.query<{ key: string }>("SELECT key FROM sluice.tombstone ORDER BY key")).map(({ key }) => key);
  await db.query(
    `INSERT INTO sluice.tombstone (table_name, key, position, deleted_at, missed) VALUES
       ('public.a', 'a old', 1, now() - interval '4 hours', NULL), ('public.a', 'b missed', 1, now() - interval '4 hours', '5'),
       ('public.a', 'c too near to the entries', 1, now() - interval '170 minutes', NULL), ('public.a', 'd young', 1, now(), NULL)`,
  );
  const images = async (): Promise<string[]> =>
    (await db.query<{ key: string }>("SELECT key FROM sluice.saved_image ORDER BY key")).map(
      ({ key }) => key,
    );
  await db.query(
    `INSERT INTO sluice.saved_image (table_name, key, logged, saved_at) VALUES
       ('public.a', 'a old', 1, now() - interval '4 hours'), ('public.a', 'c too near', 1, now() - interval '170 minutes')`,
  );
  await db.query("INSERT INTO sluice.shard (pipeline, stream) VALUES ('another', 'cdc.0')");
  await kept.maintenance().maintenance.round();
  expect(await tombstones()).toHaveLength(4);
  expect(await images()).toHaveLength(2);
  await db.query("DELETE FROM sluice.shard WHERE pipeline = 'another'");
  await kept.maintenance().maintenance.round();
  expect(await tombstones()).toEqual(["b missed", "c too near to the entries", "d young"]);
  expect(await images()).toEqual(["c too near"]);
});

it("tells of another Redis server, of forgotten streams and of entries deleted unapplied, once each", async () => {
  await using kept = await createKeptStream();
  const { db, redis, stream, otherStream } = kept;
  await db.query("INSERT INTO sluice.redis_server (pipeline, replication_id) VALUES ('default', 'another')");
  await db.query("INSERT INTO sluice.shard (pipeline, stream) VALUES ('default', $1)", [otherStream]);
  const ids = await kept.add(10);
  await redis.xdel(stream, ids[4] ?? "", ids[5] ?? "");
  await kept.applied(ids, 10);
  await db.query("UPDATE sluice.shard SET entries = 8 WHERE stream = $1", [stream]);
  const { maintenance, began } = kept.maintenance({ retainAgeMs: hour });
  await maintenance.round();
  await maintenance.round();
  const codes = began.map(({ code }) => code);
  for (const code of ["REDIS_FAILED_OVER", "STREAM_FORGOTTEN", "ENTRIES_DELETED"]) {
    expect(codes.filter((each) => each === code)).toHaveLength(1);
  }
  expect(await readStreamFindings(db.pool, "default")).toMatchObject([{ stream, deleted: 2 }]);
  expect(await db.query("SELECT entries::int FROM sluice.shard WHERE stream = $1", [stream])).toEqual([
    { entries: 10 },
  ]);
});

it("runs by itself soon after it was started, reports a failing round and tries again", async () => {
  await using kept = await createKeptStream();
  const ids = await kept.add(300);
  await kept.applied(ids, 300);
  await kept.db.query("ALTER TABLE sluice.shard RENAME TO shard_away");
  const { maintenance, trimmed, failed } = kept.maintenance({ maintenanceIntervalMs: 100 });
  maintenance.start();
  await expect.poll(() => failed).toContain("TABLE_MISSING");
  await kept.db.query("ALTER TABLE sluice.shard_away RENAME TO shard");
  await expect.poll(() => trimmed.get(kept.stream), { timeout: 10_000 }).toBeGreaterThan(200);
  await maintenance.stop();
});

it("trim --dry-run tells what would go and why not more, and changes nothing; trim does it", async () => {
  await using kept = await createKeptStream();
  const ids = await kept.add(1_000);
  await kept.applied(ids, 600);
  const run = async (dryRun: boolean): Promise<TrimReport> => {
    let out = "";
    const io = { out: (text: string) => void (out += text), err: () => undefined, env: {} };
    expect(await trim(kept.config, io, { dryRun, json: true })).toBe(0);
    return JSON.parse(out) as TrimReport;
  };
  const stream = { stream: kept.stream, checkpoint: ids[599], keptBy: { by: "checkpoint" } };
  expect(await run(true)).toMatchObject({
    dryRun: true,
    shards: [{ ...stream, removed: 0, removable: 600, entries: 1_000, oldestId: ids[0] }],
  });
  expect(await kept.left()).toHaveLength(1_000);
  const [done] = (await run(false)).shards;
  expect(done).toMatchObject(stream);
  expect(done?.removed).toBeGreaterThan(600 - node);
  expect(await kept.left()).toHaveLength(1_000 - (done?.removed ?? 0));
});
