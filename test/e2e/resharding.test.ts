import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { expect, it } from "vitest";
import { compareDatabases } from "../../demo/compare.ts";
import { startDebezium, type DebeziumServer } from "../../demo/local/debezium-server.ts";
import { isAfter, markerTable, statusOf } from "../support/caught-up.ts";
import { startPipeline, type RunningPipeline } from "../support/pipeline.ts";
import { runSluice, startSluice, type SluiceProcess } from "../support/sluice-process.ts";

interface Generation {
  readonly prefix: string;
  readonly shards: number;
}

const first: Generation = { prefix: "cdc.", shards: 8 };
const second: Generation = { prefix: "cdc.g2.", shards: 16 };
const third: Generation = { prefix: "cdc.g3.", shards: 4 };

const streamsOf = ({ prefix, shards }: Generation): string[] =>
  Array.from({ length: shards }, (_, shard) => `${prefix}${shard}`);

const slow = { timeout: 60_000, interval: 100 };

async function onDatabase<Result>(url: string, use: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function ask<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  return (await onDatabase(url, (client) => client.query<Row>(text))).rows;
}

async function fill(url: string): Promise<void> {
  await onDatabase(url, async (client) => {
    await client.query(markerTable);
    await client.query("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL, note text)");
    await client.query("CREATE TABLE passing (id int PRIMARY KEY, note text)");
    await client.query("INSERT INTO account SELECT i, 0, 'new' FROM generate_series(1, 400) i");
  });
}

/** Deletes, re-inserts, updates, key changes and a TRUNCATE now and then, without a pause, until aborted. */
async function load(url: string, stopping: AbortSignal): Promise<number> {
  return await onDatabase(url, async (client) => {
    let transactions = 0;
    while (!stopping.aborted) {
      const id = 1 + Math.floor(Math.random() * 400);
      const values = [id, `n${transactions}`];
      await client.query("BEGIN");
      await client.query(
        "UPDATE account SET balance = balance + 1, note = $2 WHERE id % 40 = $1 % 40",
        values,
      );
      await client.query("DELETE FROM account WHERE id = $1", [id]);
      if (id % 3 > 0) await client.query("INSERT INTO account VALUES ($1, 0, $2)", values);
      if (id % 7 === 0) {
        const newId = 1_000_000_000 + Math.floor(Math.random() * 1e9);
        await client.query("UPDATE account SET id = $2 WHERE id = $1", [id + 1, newId]);
      }
      if (transactions % 50 === 49) await client.query("TRUNCATE passing");
      await client.query("INSERT INTO passing VALUES ($1, $2) ON CONFLICT DO NOTHING", values);
      await client.query("COMMIT");
      transactions++;
      await pause(5);
    }
    return transactions;
  });
}

/** Notes in the read database when which generation's batches ran, whatever the program says of itself. */
const watch = `
  CREATE TABLE public.batch (generation int, stream text, began timestamptz);
  CREATE FUNCTION public.note_batch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.batch VALUES (NEW.generation, NEW.stream, clock_timestamp()); RETURN NULL; END $$;
  CREATE TRIGGER note_batch AFTER UPDATE ON sluice.shard FOR EACH ROW
    WHEN (NEW.checkpoint IS DISTINCT FROM OLD.checkpoint) EXECUTE FUNCTION public.note_batch();
  ALTER TABLE sluice.shard ENABLE ALWAYS TRIGGER note_batch`;

async function expectOneAfterTheOther(readUrl: string): Promise<void> {
  const rows = await ask<{ generation: number; streams: number; after: boolean }>(
    readUrl,
    `SELECT generation, count(DISTINCT stream)::int AS streams,
       min(began) > coalesce(lag(max(began)) OVER (ORDER BY generation), '-infinity') AS after
     FROM public.batch GROUP BY generation ORDER BY generation`,
  );
  expect(rows).toEqual([
    { generation: 1, streams: first.shards, after: true },
    { generation: 2, streams: second.shards, after: true },
    { generation: 3, streams: third.shards, after: true },
  ]);
}

/** Members that share the shards; `roll` restarts one after the other with another setting. */
class Members {
  private readonly running = new Map<string, SluiceProcess>();
  private readonly pipeline: RunningPipeline;

  constructor(pipeline: RunningPipeline) {
    this.pipeline = pipeline;
  }

  async roll(generation: Generation): Promise<void> {
    for (const name of ["a", "b"]) {
      const stopped = await this.running.get(name)?.stop();
      expect(stopped?.code ?? 0).toBe(0);
      const sluice = await startSluice(this.environment(name, generation));
      this.running.set(name, sluice);
      await sluice.waitReady();
    }
  }

  get httpUrl(): string {
    return this.running.get("a")?.httpUrl ?? "";
  }

  environment(name: string, generation: Generation): Record<string, string> {
    const SLUICE_STREAMS = streamsOf(generation).join(",");
    return { ...this.pipeline.environment, SLUICE_STREAMS, SLUICE_MEMBER: name, SLUICE_BATCH_ENTRIES: "100" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sluice of this.running.values()) await sluice.stop();
  }
}

async function debeziumOf(pipeline: RunningPipeline, generation: Generation): Promise<DebeziumServer> {
  const debezium = await startDebezium({
    folder: join(pipeline.folder, `debezium-${generation.shards}`),
    primary: pipeline.primaryUrl,
    redis: `127.0.0.1:${pipeline.redis.port}`,
    shards: generation.shards,
    environment: { STREAM_PREFIX: generation.prefix },
  });
  await debezium.waitUntilStreaming();
  return debezium;
}

/** Entries that Debezium has written into the generation's streams. */
async function written(redis: Redis, generation: Generation): Promise<number> {
  const lengths = await Promise.all(streamsOf(generation).map((stream) => redis.xlen(stream)));
  return lengths.reduce((sum, length) => sum + length, 0);
}

async function checkpoints(readUrl: string, generation: number): Promise<(string | null)[]> {
  const rows = await ask<{ checkpoint: string | null }>(
    readUrl,
    `SELECT checkpoint FROM sluice.shard WHERE generation = ${generation} ORDER BY stream`,
  );
  return rows.map(({ checkpoint }) => checkpoint);
}

/** A marker that arrived proves that all before it is in the streams; the earlier generations were applied before the third began. */
async function untilThirdIsApplied({ primaryUrl, readUrl }: RunningPipeline, httpUrl: string): Promise<void> {
  await ask(primaryUrl, "INSERT INTO marker VALUES (gen_random_uuid())");
  await expect.poll(() => ask(readUrl, "SELECT FROM marker"), slow).toHaveLength(1);
  const seenAt = Date.now();
  const lags = async (): Promise<unknown[]> => {
    const status = await statusOf(httpUrl);
    if (status === undefined || !isAfter(status, seenAt)) return [];
    return status.shards
      .filter(({ stream }) => stream.startsWith(third.prefix))
      .map(({ lagEntries }) => lagEntries);
  };
  await expect.poll(lags, slow).toEqual(Array(third.shards).fill(0));
}

it("goes from 8 to 16 to 4 streams under load, each generation after the one before it, and ends equal", async () => {
  await using stack = new AsyncDisposableStack();
  const pipeline = stack.use(await startPipeline({ shards: first.shards, prepare: fill }));
  const redis = stack.adopt(new Redis(pipeline.redisUrl), (client) => client.disconnect());
  const { primaryUrl, readUrl } = pipeline;
  const members = stack.use(new Members(pipeline));
  const migrated = await runSluice(["migrate", "--from-source"], members.environment("a", first));
  expect(migrated).toMatchObject({ code: 0 });
  await onDatabase(readUrl, (client) => client.query(watch));
  await members.roll(first);
  const loading = new AbortController();
  const loaded = load(primaryUrl, loading.signal);
  loaded.catch(() => undefined);
  stack.defer(() => loading.abort());
  await expect.poll(() => written(redis, first), slow).toBeGreaterThan(1_500);

  // 8 → 16: Debezium first, asked to stop; one of the old shards hangs behind.
  const obstacle = String(await redis.xadd("cdc.3", "*", "no", "change"));
  await pipeline.debezium.stop();
  const debezium = await debeziumOf(pipeline, second);
  await members.roll(second);
  await expect.poll(() => written(redis, second), slow).toBeGreaterThan(1_500);
  const waits = async (): Promise<unknown[]> =>
    (await statusOf(members.httpUrl))?.shards.map((shard) => shard.lastError?.code) ?? [];
  const codes = [...Array(second.shards).fill("GENERATION_WAITS"), "ENTRY_NOT_DEBEZIUM"];
  await expect.poll(waits, slow).toEqual(expect.arrayContaining(codes));
  expect(await checkpoints(readUrl, 2)).toEqual(Array(second.shards).fill(null));
  await redis.xdel("cdc.3", obstacle);
  await expect.poll(() => checkpoints(readUrl, 2), slow).not.toContain(null);

  // 16 → 4: the members first, and Debezium is killed.
  await members.roll(third);
  await debezium.kill();
  const last = await debeziumOf(pipeline, third);
  stack.defer(() => last.stop());
  await expect.poll(() => written(redis, third), slow).toBeGreaterThan(1_500);

  loading.abort();
  expect(await loaded).toBeGreaterThan(100);
  await untilThirdIsApplied(pipeline, members.httpUrl);
  const { tables } = await compareDatabases(primaryUrl, readUrl);
  expect(tables.flatMap((table) => table.differences)).toEqual([]);
  await expectOneAfterTheOther(readUrl);

  // Names of two generations, or old ones beside new: refused at the start.
  for (const streams of ["cdc.g2.{0..15},cdc.g3.{0..3}", "cdc.g3.{0..4}"]) {
    const mixed = { ...members.environment("c", third), SLUICE_STREAMS: streams };
    await using refused = await startSluice(mixed);
    expect(await refused.process.exited).toMatchObject({ code: 2 });
    expect(refused.log()).toContain("STREAMS_MIXED");
  }
});
