import { join } from "node:path";
import { Redis } from "ioredis";
import { startDebezium } from "../demo/local/debezium-server.ts";
import { execute, withClient } from "./database.ts";
import { insertLoad } from "./loads/insert.ts";
import { ordersTable } from "./loads/orders-table.ts";
import { createTableSql } from "./loads/table-shape.ts";
import { startMember, streamNames, waitUntil } from "./member.ts";
import { commitInserts, commitUpdates, smallTransactions } from "./primary-load.ts";
import { step } from "./progress.ts";
import { prepareSluiceDatabase } from "./sluice-database.ts";
import { createDatabase, freshDatabase, type Stage } from "./stage.ts";
import { percentilesOf, type Percentiles } from "./statistics.ts";

const transactionsPerSecond = 1000;
const warmUp = { seconds: 10, firstId: 1 };
const measured = { seconds: 20, firstId: 1_000_000 };
const drained = { rows: 200_000, firstId: 2_000_000 };
/** A JVM is several times slower at first. */
const drainWarmUp = { rows: 50_000, firstId: 3_000_000 };

export interface DebeziumResult {
  readonly transactionsPerSecond: number;
  readonly commitToVisible: Percentiles;
  readonly drain: Drain;
}

/** Rows a second in the read database, from the first to the last commit there. */
export interface Drain {
  readonly rows: number;
  readonly insertsPerSecond: number;
  readonly updatesPerSecond: number;
}

/** The whole way: primary → Debezium Server with this repository's settings → Redis → sluice → read database. */
export async function measureThroughDebezium(stage: Stage): Promise<DebeziumResult> {
  const name = "debezium";
  const primaryUrl = await preparePrimary(stage, name);
  await emptyRedis(stage.redisUrl);
  const template = await prepareSluiceDatabase(stage, { ...insertLoad(0), name });
  const readUrl = await freshDatabase(stage.target, template);
  await using stack = new AsyncDisposableStack();
  const debezium = await step("Debezium Server is started", () =>
    startDebezium({
      folder: join(stage.folder, name),
      primary: primaryUrl,
      redis: new URL(stage.redisUrl).host,
      environment: { SLOT_NAME: name },
    }),
  );
  stack.defer(() => debezium.stop());
  await debezium.waitUntilStreaming();
  const member = await startMember({ stage, databaseUrl: readUrl, streams: streamNames(8) });
  stack.defer(async () => void (await member.stop()));
  const commitToVisible = await step(`${transactionsPerSecond} transactions/s through Debezium`, () =>
    measureCommitToVisible(primaryUrl, readUrl),
  );
  const drain = await step("highest rate through Debezium", () => measureDrain(primaryUrl, readUrl));
  return { transactionsPerSecond, commitToVisible, drain };
}

/** A database of its own, so that its publication and slot are those of one Debezium only. */
export async function preparePrimary(stage: Stage, name: string): Promise<string> {
  const url = await createDatabase(await stage.publisher(), name);
  await execute(url, createTableSql(ordersTable()));
  return url;
}

async function emptyRedis(url: string): Promise<void> {
  const redis = new Redis(url);
  try {
    await redis.flushall();
  } finally {
    redis.disconnect();
  }
}

/** Each row's commit time in the primary and in the read database, which share this machine's clock. */
async function measureCommitToVisible(primaryUrl: string, readUrl: string): Promise<Percentiles> {
  for (const { seconds, firstId } of [warmUp, measured]) {
    const rows = seconds * transactionsPerSecond;
    await smallTransactions(primaryUrl, { perSecond: transactionsPerSecond, rows, firstId });
    await waitUntil(readUrl, `SELECT count(*) = ${rows} FROM public.orders WHERE id >= ${firstId}`, 200);
  }
  const committed = await commitTimes(primaryUrl);
  const visible = await commitTimes(readUrl);
  const waits = [...visible].map(([id, ms]) => ms - (committed.get(id) ?? Number.NaN)).sort((a, b) => a - b);
  return percentilesOf(waits);
}

async function commitTimes(url: string): Promise<Map<string, number>> {
  const query = `SELECT id::text, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::float8 AS ms
    FROM public.orders WHERE id >= ${measured.firstId}`;
  const { rows } = await withClient(url, (client) => client.query<{ id: string; ms: number }>(query));
  return new Map(rows.map((row) => [row.id, row.ms]));
}

/** How fast a backlog flows through: it is committed much faster than Debezium reads it. */
export async function measureDrain(primaryUrl: string, readUrl: string): Promise<Drain> {
  await drainInserts(primaryUrl, readUrl, drainWarmUp);
  const insertsPerSecond = await drainInserts(primaryUrl, readUrl, drained);
  const updatesPerSecond = await drainUpdates(primaryUrl, readUrl, drained);
  return { rows: drained.rows, insertsPerSecond, updatesPerSecond };
}

type Rows = typeof drained;

function selected({ rows, firstId }: Rows): string {
  return `id BETWEEN ${firstId} AND ${firstId + rows - 1}`;
}

async function drainInserts(primaryUrl: string, readUrl: string, rows: Rows): Promise<number> {
  await commitInserts(primaryUrl, rows.rows, rows.firstId);
  await waitUntil(readUrl, `SELECT count(*) = ${rows.rows} FROM public.orders WHERE ${selected(rows)}`, 500);
  return appliedPerSecond(readUrl, rows);
}

async function drainUpdates(primaryUrl: string, readUrl: string, rows: Rows): Promise<number> {
  await commitUpdates(primaryUrl, rows.rows, rows.firstId);
  const updated = `${selected(rows)} AND customer LIKE '%, again'`;
  await waitUntil(readUrl, `SELECT count(*) = ${rows.rows} FROM public.orders WHERE ${updated}`, 500);
  return appliedPerSecond(readUrl, rows);
}

async function appliedPerSecond(url: string, rows: Rows): Promise<number> {
  const query = `SELECT (count(*) / extract(epoch FROM max(at) - min(at)))::float8 AS rate
    FROM (SELECT pg_xact_commit_timestamp(xmin) AS at FROM public.orders WHERE ${selected(rows)}) AS applied`;
  return withClient(
    url,
    async (client) => (await client.query<{ rate: number }>(query)).rows[0]?.rate ?? Number.NaN,
  );
}
