import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { expect, inject, it } from "vitest";
import { createDatabase, type TestDatabase } from "../support/database.ts";
import { migrated } from "../support/member.ts";
import { startSluice, type Environment, type SluiceProcess } from "../support/sluice-process.ts";
import { createStreamPrefix } from "../support/stream-prefix.ts";

const lease = "2s";
const leaseMs = 2_000;
const maintenanceMs = 1_000;

interface Setting extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly redis: Redis;
  readonly streams: readonly string[];
  start(member: string, own?: Environment): Promise<SluiceProcess>;
}

async function setting(shards: number): Promise<Setting> {
  await using stack = new AsyncDisposableStack();
  const db = stack.use(await createDatabase(inject("postgresUrl")));
  await migrated(db.url);
  await db.query("CREATE TABLE users (id int PRIMARY KEY, name text, _sluice_lsn bigint)");
  const prefix = stack.use(createStreamPrefix(inject("redisUrl")));
  const redis = stack.adopt(new Redis(inject("redisUrl")), (client) => client.disconnect());
  const streams = prefix.streams(shards);
  const environment: Environment = {
    SLUICE_REDIS_URL: inject("redisUrl"),
    SLUICE_DATABASE_URL: db.url,
    SLUICE_STREAMS: streams.join(","),
    SLUICE_LEASE: lease,
    SLUICE_READ_BLOCK: "500ms",
    SLUICE_MAINTENANCE_INTERVAL: `${maintenanceMs}ms`,
  };
  const started = stack.move();
  return {
    ...{ db, redis, streams },
    async start(member, own = {}) {
      const sluice = started.use(await startSluice({ ...environment, ...own, SLUICE_MEMBER: member }));
      await sluice.waitReady();
      return sluice;
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** Shards of each living owner. */
async function split(db: TestDatabase): Promise<Record<string, number>> {
  const rows = await db.query<{ owner: string; count: number }>(
    "SELECT owner, count(*)::int AS count FROM sluice.shard WHERE lease_until > clock_timestamp() GROUP BY owner",
  );
  return Object.fromEntries(rows.map(({ owner, count }) => [owner, count]));
}

async function until(what: () => Promise<boolean>, withinMs: number): Promise<number> {
  const started = performance.now();
  while (!(await what())) {
    if (performance.now() - started > withinMs) throw new Error(`not within ${withinMs} ms`);
    await pause(20);
  }
  return performance.now() - started;
}

const same = (left: object, right: object): boolean =>
  JSON.stringify(Object.entries(left).sort()) === JSON.stringify(Object.entries(right).sort());

let lsn = 1000;

/** One row for each shard; ids tell when each was added. */
async function addRows({ redis, streams }: Setting): Promise<void> {
  for (const stream of streams) {
    const id = ++lsn;
    const source = { schema: "public", table: "users", lsn: id };
    const value = { before: null, after: { id, name: "x" }, source, op: "c" };
    await redis.xadd(stream, "*", "key", JSON.stringify({ id }), "value", JSON.stringify(value));
  }
}

async function allApplied({ db, redis, streams }: Setting): Promise<boolean> {
  const rows = await db.query<{ stream: string; entries: string; changes: string }>(
    "SELECT stream, entries, changes_applied AS changes FROM sluice.shard",
  );
  const lengths = await Promise.all(streams.map((stream) => redis.xlen(stream)));
  for (const row of rows) expect(row.changes, row.stream).toBe(row.entries);
  return streams.every((stream, index) =>
    rows.some((row) => row.stream === stream && Number(row.entries) === lengths[index]),
  );
}

/** Names of one stream's consumers. */
async function consumersOf({ redis }: Setting, stream: string): Promise<string[]> {
  const facts = (await redis.xinfo("CONSUMERS", stream, "sluice")) as unknown[][];
  return facts.map((each) => String(each[each.indexOf("name") + 1]));
}

async function consumers(set: Setting): Promise<Set<string>> {
  const names = await Promise.all(set.streams.map((stream) => consumersOf(set, stream)));
  return new Set(names.flat());
}

it("splits the shards fairly as members come and go, and hands over within a second of a clean stop", async () => {
  await using set = await setting(8);
  const { db } = set;
  await set.start("a");
  await until(async () => same(await split(db), { a: 8 }), 5_000);
  const b = await set.start("b");
  await until(async () => same(await split(db), { a: 4, b: 4 }), 5_000);
  await set.start("c");
  await until(async () => same(await split(db), { a: 3, b: 3, c: 2 }), 5_000);
  await addRows(set);
  await until(() => allApplied(set), 5_000);
  const stopped = b.stop();
  expect(await until(async () => same(await split(db), { a: 4, c: 4 }), 5_000)).toBeLessThan(1_000);
  expect(await stopped).toMatchObject({ code: 0 });
  await addRows(set);
  await until(() => allApplied(set), 5_000);
  expect(await consumers(set)).toEqual(new Set(["a", "c"]));
});

it("resumes a killed member's shards within its lease and a second, and takes its name's leases back at once", async () => {
  await using set = await setting(6);
  const { db } = set;
  await set.start("a");
  const b = await set.start("b");
  await until(async () => same(await split(db), { a: 3, b: 3 }), 5_000);
  await addRows(set);
  await until(() => allApplied(set), 5_000);
  await b.kill();
  await addRows(set);
  expect(await until(() => allApplied(set), 10_000)).toBeLessThan(leaseMs + 1_000);
  expect(await split(db)).toEqual({ a: 6 });
  const again = await set.start("b");
  await until(async () => same(await split(db), { a: 3, b: 3 }), 5_000);
  await again.kill();
  await set.start("b");
  expect(await until(async () => same(await split(db), { a: 3, b: 3 }), 5_000)).toBeLessThan(leaseMs / 2);
  await addRows(set);
  await until(() => allApplied(set), 5_000);
});

it("does without a member that is paused beyond its lease, and takes it in again when it wakes (I2)", async () => {
  await using set = await setting(4);
  const { db } = set;
  await set.start("a");
  const b = await set.start("b");
  await until(async () => same(await split(db), { a: 2, b: 2 }), 5_000);
  process.kill(b.process.pid, "SIGSTOP");
  await addRows(set);
  await until(async () => same(await split(db), { a: 4 }), leaseMs + 1_000);
  await until(() => allApplied(set), 2_000);
  process.kill(b.process.pid, "SIGCONT");
  await addRows(set);
  await until(async () => same(await split(db), { a: 2, b: 2 }), 10_000);
  await addRows(set);
  await until(() => allApplied(set), 5_000);
  expect((await db.query("SELECT FROM users")).length).toBe(4 * 3);
});

it("keeps members beyond the number of shards standing by", async () => {
  await using set = await setting(1);
  const a = await set.start("a");
  await until(async () => same(await split(set.db), { a: 1 }), 5_000);
  const b = await set.start("b");
  const told = (event: string) => b.log().split(`"event":"${event}"`).length - 1;
  await until(async () => told("standing_by") === 1, 5_000);
  await a.kill();
  await until(async () => same(await split(set.db), { b: 1 }), leaseMs + 1_000);
  await until(async () => told("took_up_work") === 1, 5_000);
  expect(told("standing_by")).toBe(1);
});

it("takes a dead member's shards at once although the database's clock was set back since", async () => {
  await using set = await setting(2);
  const { db } = set;
  const dead = await set.start("dead");
  await until(async () => same(await split(db), { dead: 2 }), 5_000);
  await dead.kill();
  await db.query("UPDATE sluice.shard SET lease_until = lease_until + interval '1 hour'");
  await db.query("UPDATE sluice.member SET last_seen = last_seen + interval '1 hour'");
  await set.start("heir");
  await until(async () => same(await split(db), { heir: 2 }), leaseMs + 1_000);
  await addRows(set);
  await until(() => allApplied(set), 5_000);
});

it("has registered in Redis who runs, each on its own shards, within a maintenance period after any churn", async () => {
  await using set = await setting(6);
  const { db, redis, streams } = set;
  await set.start("a");
  const b = await set.start("b");
  const c = await set.start("c");
  await until(async () => same(await split(db), { a: 2, b: 2, c: 2 }), 10_000);
  await addRows(set);
  await until(() => allApplied(set), 5_000);
  await b.kill();
  await c.stop();
  await set.start("d");
  // Leftovers of members that nobody knows, one of them with entries in its hands.
  for (const stream of streams) await redis.xgroup("CREATECONSUMER", stream, "sluice", "stray");
  await addRows(set);
  await redis.xreadgroup("GROUP", "sluice", "reader", "STREAMS", streams[0] ?? "", ">");
  await until(async () => same(await split(db), { a: 3, d: 3 }), leaseMs + 10_000);
  const owners = async (): Promise<string[]> => {
    const rows = await db.query<{ owner: string }>("SELECT owner FROM sluice.shard ORDER BY stream");
    return rows.map(({ owner }) => owner);
  };
  const registered = async (): Promise<string[][]> =>
    Promise.all(streams.toSorted().map((stream) => consumersOf(set, stream)));
  const isSo = async (): Promise<boolean> =>
    JSON.stringify(await registered()) === JSON.stringify((await owners()).map((owner) => [owner]));
  // The period differs by up to a fifth, and the reader does it with its next read.
  await until(isSo, maintenanceMs * 1.2 + 1_500);
  await until(() => allApplied(set), 5_000);
});

/** Loaded before the program: on SIGUSR2 nothing runs in the process for so long, but its sockets stay open. */
function standingStill(milliseconds: number): Environment {
  const wait = `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${milliseconds})`;
  const script = `process.on("SIGUSR2", () => ${wait});`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` };
}

it("does without a member whose event loop stands still beyond its lease, and takes it in again (I2)", async () => {
  await using set = await setting(4);
  const { db } = set;
  await set.start("a");
  const b = await set.start("b", standingStill(2.5 * leaseMs));
  await until(async () => same(await split(db), { a: 2, b: 2 }), 5_000);
  await addRows(set);
  await until(() => allApplied(set), 5_000);
  process.kill(b.process.pid, "SIGUSR2");
  await addRows(set);
  await until(async () => same(await split(db), { a: 4 }), leaseMs + 1_000);
  await until(() => allApplied(set), 2_000);
  await until(async () => same(await split(db), { a: 2, b: 2 }), 15_000);
  await addRows(set);
  await until(() => allApplied(set), 5_000);
  expect((await db.query("SELECT FROM users")).length).toBe(4 * 3);
});
