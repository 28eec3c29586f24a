import { Redis } from "ioredis";
import type pg from "pg";
import { watchCommitTimes, type CommitTimeCheck } from "./commit-time-check.ts";
import { withClient } from "./database.ts";
import { insertLoad } from "./loads/insert.ts";
import { startMember, streamNames, waitUntil } from "./member.ts";
import { nowMs, prepareOpenLoop } from "./open-loop.ts";
import { prepareSluiceDatabase } from "./sluice-database.ts";
import { freshDatabase, type Stage } from "./stage.ts";
import { cpuSeconds } from "./usage.ts";

const warmUpSeconds = 5;
const measuredSeconds = 20;

/** In milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly highest: number;
}

export interface LatencyResult {
  readonly entriesPerSecond: number;
  readonly measuredSeconds: number;
  /** From the moment an entry was due in Redis until the transaction with its row had committed. */
  readonly streamToVisible: Percentiles;
  /** What the measurement itself may be wrong by. */
  readonly clockErrorMs: number;
  readonly commitTimes: CommitTimeCheck;
  /** CPU seconds of sluice for each second of the load. */
  readonly cpu: number;
}

/**
 * Stream-to-visible latency under an open-loop load: when each entry is due is settled before the first is sent, one burst a
 * millisecond, by a thread of its own, and the wait counts from then on, whether the sender was late or Redis slow (no
 * coordinated omission). Nothing is asked while it runs: each row has a transaction of its own batch, and PostgreSQL remembers
 * when that committed (`track_commit_timestamp`). All rows behind the warm-up count.
 */
export async function measureLatency(stage: Stage, entriesPerSecond: number): Promise<LatencyResult> {
  const seconds = warmUpSeconds + measuredSeconds;
  const load = { ...insertLoad(entriesPerSecond * seconds), name: "latency" };
  const streams = streamNames(8);
  await emptyRedis(stage.redisUrl);
  const redisUrl = stage.reach(stage.redisUrl);
  using sender = await prepareOpenLoop({ redisUrl, streams, entriesPerSecond, entries: load.size });
  const databaseUrl = await freshDatabase(stage.target, await prepareSluiceDatabase(stage, load));
  const member = await startMember({ stage, databaseUrl, streams });
  try {
    await waitUntil(databaseUrl, `SELECT count(owner) = ${streams.length} FROM sluice.shard`);
    return await withClient(databaseUrl, async (client) => {
      const before = await databaseClock(client);
      await using watch = watchCommitTimes(databaseUrl);
      const cpuBefore = cpuSeconds(member.pid);
      const startedAt = await sender.send();
      const cpu = (cpuSeconds(member.pid) - cpuBefore) / seconds;
      await waitUntil(databaseUrl, `SELECT sum(changes_applied) = ${load.size} FROM sluice.shard`);
      const after = await databaseClock(client);
      const schedule = { startedAt: startedAt + before.aheadMs, entriesPerSecond };
      const streamToVisible = await percentilesOf(client, schedule);
      const clockErrorMs = before.errorMs + Math.abs(after.aheadMs - before.aheadMs);
      return {
        entriesPerSecond,
        measuredSeconds,
        streamToVisible,
        clockErrorMs,
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

interface Schedule {
  /** By the database's clock. */
  readonly startedAt: number;
  readonly entriesPerSecond: number;
}

async function percentilesOf(
  client: pg.Client,
  { startedAt, entriesPerSecond }: Schedule,
): Promise<Percentiles> {
  const { rows } = await client.query<{ found: number[]; highest: number }>(
    `SELECT percentile_disc(ARRAY[0.5, 0.95, 0.99, 0.999]) WITHIN GROUP (ORDER BY ms) AS found, max(ms) AS highest
     FROM (SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::float8
                  - ($1::float8 + floor((id - 1) * 1000 / $2::float8)) AS ms
           FROM public.orders WHERE id > $3) AS waits`,
    [startedAt, entriesPerSecond, warmUpSeconds * entriesPerSecond],
  );
  const [p50 = Number.NaN, p95 = Number.NaN, p99 = Number.NaN, p999 = Number.NaN] = rows[0]?.found ?? [];
  return { p50, p95, p99, p999, highest: rows[0]?.highest ?? Number.NaN };
}
