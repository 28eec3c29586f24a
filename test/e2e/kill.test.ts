import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { expect, it } from "vitest";
import { compareDatabases } from "../../demo/compare.ts";
import type { PostgresCluster } from "../../demo/local/postgres-cluster.ts";
import type { RedisServer } from "../../demo/local/redis-server.ts";
import { markerTable, waitUntilCaughtUp } from "../support/caught-up.ts";
import { startPipeline } from "../support/pipeline.ts";
import { runSluice, startSluice } from "../support/sluice-process.ts";

const kills = 20;

async function before(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(markerTable);
  await client.query("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL, note text)");
  await client.query("INSERT INTO account SELECT i, 0, 'new' FROM generate_series(1, 2000) i");
  await client.end();
}

/** Inserts, updates, deletes, re-inserts and key changes until aborted. */
async function load(url: string, stopping: AbortSignal): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  let transactions = 0;
  while (!stopping.aborted) {
    const id = 1 + Math.floor(Math.random() * 2000);
    await client.query("BEGIN");
    await client.query("UPDATE account SET balance = balance + 1, note = $2 WHERE id % 200 = $1", [
      id % 200,
      `n${transactions}`,
    ]);
    await client.query("DELETE FROM account WHERE id = $1", [id]);
    if (id % 3 > 0)
      await client.query("INSERT INTO account VALUES ($1, 0, 'again') ON CONFLICT DO NOTHING", [id]);
    if (id % 7 === 0)
      await client.query("UPDATE account SET id = $2 WHERE id = $1", [id + 1, 10_000_000 + transactions]);
    await client.query("COMMIT");
    transactions++;
  }
  await client.end();
  return transactions;
}

/** Entries that were ever added, by stream. */
async function added(redisUrl: string, streams: readonly string[]): Promise<Record<string, number>> {
  const redis = new Redis(redisUrl);
  const counts: Record<string, number> = {};
  for (const stream of streams) {
    const facts = (await redis.xinfo("STREAM", stream)) as unknown[];
    counts[stream] = Number(facts[facts.indexOf("entries-added") + 1]);
  }
  redis.disconnect();
  return counts;
}

async function applied(readUrl: string): Promise<Record<string, number>> {
  const client = new pg.Client({ connectionString: readUrl });
  await client.connect();
  const { rows } = await client.query<{ stream: string; entries: string; changes: string }>(
    "SELECT stream, entries, changes_applied + changes_skipped AS changes FROM sluice.shard ORDER BY stream",
  );
  await client.end();
  for (const row of rows) expect(row.changes, row.stream).toBe(row.entries);
  return Object.fromEntries(rows.map((row) => [row.stream, Number(row.entries)]));
}

/** In turn: shut down in order, and ended as a power cut would. */
async function restart(server: PostgresCluster | RedisServer, kill: number): Promise<void> {
  if (kill % 2 === 0) await server.kill();
  await server.restart();
}

it(`loses and doubles nothing over ${kills} SIGKILLs with restarts and crashes of both stores in between (I1, I2, I3)`, async () => {
  await using pipeline = await startPipeline({ shards: 4, prepare: before });
  expect(await runSluice(["migrate", "--from-source"], pipeline.environment)).toMatchObject({ code: 0 });
  const environment = { ...pipeline.environment, SLUICE_MEMBER: "survivor", SLUICE_BATCH_ENTRIES: "100" };
  const loading = new AbortController();
  const loaded = load(pipeline.primaryUrl, loading.signal);
  loaded.catch(() => undefined);
  for (let kill = 1; kill <= kills; kill++) {
    await using victim = await startSluice(environment);
    await victim.waitReady(30_000);
    await pause(Math.random() * 1500);
    if (kill % 7 === 0) await restart(pipeline.read, kill);
    if (kill % 5 === 0) await restart(pipeline.redis, kill);
    await pause(Math.random() * 500);
    await victim.kill();
  }
  loading.abort();
  expect(await loaded).toBeGreaterThan(100);
  await using sluice = await startSluice(environment);
  await sluice.waitReady();
  await waitUntilCaughtUp({ ...pipeline, httpUrl: sluice.httpUrl });
  const comparison = await compareDatabases(pipeline.primaryUrl, pipeline.readUrl);
  expect(comparison.tables.flatMap((table) => table.differences)).toEqual([]);
  expect(await sluice.stop()).toMatchObject({ code: 0 });
  expect(await applied(pipeline.readUrl)).toEqual(await added(pipeline.redisUrl, pipeline.streams));
});
