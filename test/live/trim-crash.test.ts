import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { expect, inject, it } from "vitest";
import { startPostgres, type PostgresCluster } from "../../demo/local/postgres-cluster.ts";
import { createTempFolder } from "../../demo/local/temp-folder.ts";
import { MaintenanceStore } from "../../src/sink/maintenance-store.ts";
import { statusOf } from "../support/caught-up.ts";
import { entryFields } from "../support/entries.ts";
import { migrated } from "../support/member.ts";
import { startSluice } from "../support/sluice-process.ts";
import { createStreamPrefix } from "../support/stream-prefix.ts";

/** Asynchronous commits then stay unflushed for long, unless somebody flushes them. */
const lateFlush = { wal_writer_delay: "10s", wal_writer_flush_after: "1GB" };

it("a checkpoint that maintenance calls durable is there after the read database was killed (I6)", async () => {
  await using own = await ownCluster();
  const { url, cluster } = own;
  await migrated(url);
  for (const checkpoint of ["1-0", "2-0", "3-0"]) {
    const pool = new pg.Pool({ connectionString: url });
    pool.on("error", () => undefined);
    const client = await pool.connect();
    client.on("error", () => undefined);
    await client.query("SET synchronous_commit = off");
    await client.query(
      `INSERT INTO sluice.shard (pipeline, stream, checkpoint) VALUES ('default', 'cdc.0', $1)
       ON CONFLICT (pipeline, stream) DO UPDATE SET checkpoint = EXCLUDED.checkpoint`,
      [checkpoint],
    );
    const [shard] = await new MaintenanceStore(pool, "default").durableShards();
    await cluster.kill();
    client.release(true);
    await pool.end().catch(() => undefined);
    await cluster.restart();
    expect(shard?.checkpoint).toBe(checkpoint);
    expect(await query(url, "SELECT checkpoint FROM sluice.shard")).toEqual([{ checkpoint }]);
  }
});

it("nothing that a killed read database forgets was trimmed: under load, with nothing retained, no gap and every row", async () => {
  await using own = await ownCluster();
  const { url, cluster, folder } = own;
  await query(url, "CREATE TABLE public.item (id int PRIMARY KEY, note text, _sluice_lsn bigint)");
  await migrated(url);
  await using prefix = createStreamPrefix(inject("redisUrl"));
  const streams = prefix.streams(2);
  const redis = new Redis(inject("redisUrl"));
  own.defer(() => redis.disconnect());
  await using sluice = await startSluice(
    {
      SLUICE_REDIS_URL: inject("redisUrl"),
      SLUICE_DATABASE_URL: url,
      SLUICE_STREAMS: streams.join(","),
      SLUICE_RETAIN_AGE: "0s",
      SLUICE_MAINTENANCE_INTERVAL: "200ms",
      SLUICE_RETRY_MAX: "200ms",
      SLUICE_STOPPED_RETRY: "500ms",
    },
    `${folder}/sluice.log`,
  );
  await sluice.waitReady();
  let last = 0;
  for (let kill = 1; kill <= 6; kill++) {
    // Killed in the middle of the load, or in the quiet after it, when all of it was trimmed and nothing later flushes the log.
    const loaded = load(redis, streams, { from: last + 1, count: 3_000 });
    if (kill % 2 === 0) await loaded;
    const least = kill % 2 === 0 ? 0 : 1_000;
    await expect
      .poll(() => kept(redis, streams, last), { timeout: 30_000, interval: 20 })
      .toBeLessThanOrEqual(least);
    await cluster.kill();
    await pause(200);
    await cluster.restart();
    last = await loaded;
    expect(sluice.process.running, sluice.log().slice(-1500)).toBe(true);
  }
  const counted = async () => Number((await query(url, "SELECT count(*) FROM item"))[0]?.["count"]);
  await expect.poll(counted, { timeout: 30_000, message: gaps(sluice.log()) }).toBe(last);
  const states = (await statusOf(sluice.httpUrl))?.shards.map(({ state, lastError }) => ({
    state,
    lastError,
  }));
  expect(states).toEqual(streams.map(() => ({ state: "running", lastError: null })));
  expect(gaps(sluice.log())).toBe("");
}, 180_000);

/** Inserts of rows with numbers from `from` on, spread over the streams; resolves with the last one. */
async function load(
  redis: Redis,
  streams: readonly string[],
  { from, count }: { readonly from: number; readonly count: number },
): Promise<number> {
  for (let first = from; first < from + count; first += 100) {
    const pipeline = redis.pipeline();
    for (let id = first; id < first + 100; id++) {
      const after = { id, note: "n".repeat(100) };
      const fields = entryFields({ op: "c", table: "item", key: { id }, after, position: 1000 + id });
      pipeline.xadd(streams[id % streams.length] ?? "", "*", ...fields);
    }
    await pipeline.exec();
    await pause(10);
  }
  return from + count - 1;
}

/** Entries that are not trimmed, once more than `before` were added. */
async function kept(redis: Redis, streams: readonly string[], before: number): Promise<number> {
  let added = 0;
  let length = 0;
  for (const stream of streams) {
    const facts = (await redis.xinfo("STREAM", stream).catch(() => [])) as unknown[];
    if (facts.length === 0) return Infinity;
    added += Number(facts[facts.indexOf("entries-added") + 1]);
    length += Number(facts[facts.indexOf("length") + 1]);
  }
  return added > before + 1_000 ? length : Infinity;
}

function gaps(log: string): string {
  return log
    .split("\n")
    .filter((line) => line.includes("STREAM_GAP"))
    .join("\n");
}

interface OwnCluster extends AsyncDisposable {
  readonly url: string;
  readonly cluster: PostgresCluster;
  readonly folder: string;
  defer(cleanUp: () => void): void;
}

async function ownCluster(): Promise<OwnCluster> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(createTempFolder("sluice-crash-")).path;
  const cluster = await startPostgres({ folder: `${folder}/postgres`, settings: lateFlush });
  stack.defer(() => cluster.stop());
  const started = stack.move();
  return {
    ...{ url: cluster.url, cluster, folder },
    defer: (cleanUp) => started.defer(cleanUp),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}
