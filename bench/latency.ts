import { Redis } from "ioredis";
import type pg from "pg";
import { watchCommitTimes, type CommitTimeCheck } from "./commit-time-check.ts";
import { withClient } from "./database.ts";
import { insertLoad } from "./loads/insert.ts";
import { startMember, streamNames, waitUntil } from "./member.ts";
import { nowMs, prepareOpenLoop } from "./open-loop.ts";
import { prepareSluiceDatabase } from "./sluice-database.ts";
import { freshDatabase, type Stage } from "./stage.ts";
import { percentilesOf, type Percentiles } from "./statistics.ts";
import { cpuSeconds } from "./usage.ts";

const warmUpSeconds = 5;
const measuredSeconds = 20;

/**
 * So that trimming is at work while latency is measured, as in a deployment that has run for hours: the streams then stay as long as
 * they are, instead of taking new memory for all of the load.
 */
const shortRetention = { SLUICE_RETAIN_AGE: "2s", SLUICE_MAINTENANCE_INTERVAL: "1s" };

/** One round. */
export interface LatencyResult {
  readonly entriesPerSecond: number;
  readonly measuredSeconds: number;
  /** From when Redis appended an entry, by its id, until the transaction with its row had committed. */
  readonly streamToVisible: Percentiles;
  /** From when the entry was to be sent: with the wait for a Redis that is busy, as when it writes its append-only file. */
  readonly dueToVisible: Percentiles;
  /** What the measurement itself may be wrong by. */
  readonly clockErrorMs: number;
  readonly commitTimes: CommitTimeCheck;
  /** CPU seconds of sluice for each second of the load. */
  readonly cpu: number;
}

/**
 * Latency under an open-loop load: when each entry is due is settled before the first is sent, one burst a millisecond, by a thread
 * of its own, which waits for nobody. Nothing is asked while it runs: Redis's ids tell when entries were appended, and PostgreSQL
 * remembers when the transaction of each row committed (`track_commit_timestamp`). All rows behind the warm-up count.
 */
export async function measureLatency(stage: Stage, entriesPerSecond: number): Promise<LatencyResult> {
  const seconds = warmUpSeconds + measuredSeconds;
  const load = { ...insertLoad(entriesPerSecond * seconds), name: "latency" };
  const streams = streamNames(8);
  await emptyRedis(stage.redisUrl);
  const redisUrl = stage.reach(stage.redisUrl);
  using sender = await prepareOpenLoop({ redisUrl, streams, entriesPerSecond, entries: load.size });
  const databaseUrl = await freshDatabase(stage.target, await prepareSluiceDatabase(stage, load));
  const member = await startMember({ stage, databaseUrl, streams, options: shortRetention });
  try {
    await waitUntil(databaseUrl, `SELECT count(owner) = ${streams.length} FROM sluice.shard`);
    return await withClient(databaseUrl, async (client) => {
      const before = await databaseClock(client);
      await using watch = watchCommitTimes(databaseUrl);
      const cpuBefore = cpuSeconds(member.pid);
      const sent = await sender.send();
      const cpu = (cpuSeconds(member.pid) - cpuBefore) / seconds;
      await waitUntil(databaseUrl, `SELECT sum(changes_applied) = ${load.size} FROM sluice.shard`);
      const after = await databaseClock(client);
      const committedAt = await commitTimes(client, load.size);
      const firstDue = sent.startedAt + before.aheadMs;
      const dueAt = (index: number): number => firstDue + Math.floor((index * 1000) / entriesPerSecond);
      const percentiles = (since: (index: number) => number): Percentiles =>
        percentilesOf(
          committedAt
            .map((ms, index) => ms - since(index))
            .subarray(warmUpSeconds * entriesPerSecond)
            .sort(),
        );
      return {
        entriesPerSecond,
        measuredSeconds,
        streamToVisible: percentiles((index) => sent.appendedAt[index] ?? Number.NaN),
        dueToVisible: percentiles(dueAt),
        clockErrorMs: before.errorMs + Math.abs(after.aheadMs - before.aheadMs),
        commitTimes: await watch.end(),
        cpu,
      };
    });
  } finally {
    await member.stop();
  }
}

async function emptyRedis(url: string): Promise<void> {
  const redis = new Redis(url);
  try {
    await redis.flushall();
    await redis.config("SET", "auto-aof-rewrite-percentage", "0");
  } finally {
    redis.disconnect();
  }
}

/** How far the database's clock is ahead of this process's, from the quickest of many questions. */
async function databaseClock(
  client: pg.Client,
): Promise<{ readonly aheadMs: number; readonly errorMs: number }> {
  let best = { aheadMs: 0, errorMs: Number.POSITIVE_INFINITY };
  for (let question = 0; question < 200; question++) {
    const asked = nowMs();
    const { rows } = await client.query<{ ms: number }>(
      "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms",
    );
    const answered = nowMs();
    const errorMs = (answered - asked) / 2;
    if (errorMs < best.errorMs) best = { aheadMs: (rows[0]?.ms ?? 0) - (asked + errorMs), errorMs };
  }
  return best;
}

const rowsOfAPage = 100_000;

/** When the transaction of each row committed, by the database's clock, in milliseconds since 1970; in the order of the ids. */
async function commitTimes(client: pg.Client, rows: number): Promise<Float64Array> {
  const times = new Float64Array(rows);
  for (let from = 1; from <= rows; from += rowsOfAPage) {
    const page = await client.query<[index: number, ms: number]>({
      name: "commit times",
      text: `SELECT (id - 1)::int, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::float8
        FROM public.orders WHERE id BETWEEN $1 AND $2`,
      values: [from, from + rowsOfAPage - 1],
      rowMode: "array",
    });
    for (const [index, ms] of page.rows) times[index] = ms;
  }
  return times;
}
