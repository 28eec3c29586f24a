import type { Config } from "../config/config.ts";
import { excessMemory } from "../maintenance/memory.ts";
import { countBelow, removesAny, type TrimBound, type TrimLimit } from "../maintenance/trim.ts";
import { Trimmer, type TrimPlan, type TrimRound } from "../maintenance/trimmer.ts";
import { openPool } from "../sink/connect.ts";
import { MaintenanceStore, type ShardRecord } from "../sink/maintenance-store.ts";
import { statusError } from "../sink/status-store.ts";
import { ask, milliseconds, valueOf, type StreamRedis } from "../source/ask.ts";
import { openRedis } from "../source/connect.ts";
import { readStreamFacts } from "../source/stream-facts.ts";
import { readRedisFacts, readStreamInfo } from "../source/stream-info.ts";
import { alignedTable, type ConsoleIo } from "./console-io.ts";
import { exitCode } from "./exit-code.ts";
import { readableBytes, readableSeconds } from "./readable.ts";

/** The contract of `sluice trim --json`. Fields may be added, never renamed. */
export interface TrimReport {
  readonly pipeline: string;
  readonly dryRun: boolean;
  /** Redis's memory is (still) above SLUICE_MEMORY_HIGH: retention gives way. */
  readonly memoryIsShort: boolean;
  readonly shards: readonly TrimmedShard[];
}

export interface TrimmedShard {
  readonly stream: string;
  readonly checkpoint: string | null;
  /** Entries that went; always 0 with --dry-run. */
  readonly removed: number;
  /** Entries that may go and are still there; counted only as far as 100,000. */
  readonly removable: number;
  /** Why the oldest entry that stays does so. */
  readonly keptBy: TrimLimit;
  /** What the stream holds now. */
  readonly entries: number;
  readonly oldestId: string | null;
  readonly replayWindowSeconds: number;
  /** Null: Redis does not tell. */
  readonly bytes: number | null;
}

/** Entries that may go are counted as far as this. */
const mostCounted = 100_000;

/** One round of trimming for all streams of the pipeline, whoever owns them, and what is left for replays. */
export async function trim(
  config: Config,
  io: ConsoleIo,
  { dryRun, json }: { readonly dryRun: boolean; readonly json: boolean },
): Promise<number> {
  const pool = openPool({
    url: config.databaseUrl,
    applicationName: "sluice trim",
    max: 1,
    statementTimeoutMs: 15_000,
  });
  let redis: StreamRedis | undefined;
  try {
    const store = new MaintenanceStore(pool, config.pipeline);
    const shards = await readShards(store);
    redis = await openRedis({ url: config.redisUrl, name: "sluice-trim" });
    const stands = (shard: ShardRecord): Promise<boolean> => store.stands(shard);
    const report = await trimOnce({ config, redis, shards, stands, dryRun });
    io.out(json ? `${JSON.stringify(report)}\n` : trimText(report));
    return exitCode.done;
  } finally {
    redis?.disconnect();
    await pool.end();
  }
}

async function readShards(store: MaintenanceStore): Promise<readonly ShardRecord[]> {
  try {
    const shards = await store.durableShards();
    return shards.filter((shard) => !shard.retired);
  } catch (error) {
    throw statusError(error);
  }
}

interface TrimOnce extends Pick<TrimRound, "redis" | "shards" | "stands"> {
  readonly config: Config;
  readonly dryRun: boolean;
}

async function trimOnce({ config, redis, shards, stands, dryRun }: TrimOnce): Promise<TrimReport> {
  const server = await readRedisFacts(redis);
  const [time] = await ask(redis, [["TIME"]]);
  const streams = shards.map(({ stream }) => stream);
  const round: TrimRound = {
    redis,
    shards,
    stands,
    server,
    nowMs: milliseconds(valueOf(time)),
    streams: await readStreamFacts(redis, streams, config.group),
    stopping: new AbortController().signal,
  };
  const trimmer = new Trimmer({ config, progress: { entriesTrimmed: () => undefined } });
  const plans = await trimmer.plan(round);
  const removed = dryRun ? new Map<string, number>() : await trimmer.trim(round, plans);
  const memoryIsShort = excessMemory(config.memoryHigh, await readRedisFacts(redis)) > 0;
  const trimmed: TrimmedShard[] = [];
  for (const shard of shards) {
    const { stream } = shard;
    const bounds = boundsOf(
      plans.find((plan) => plan.stream === stream),
      memoryIsShort,
    );
    trimmed.push(await report(redis, config.group, shard, { ...bounds, removed: removed.get(stream) ?? 0 }));
  }
  return { pipeline: config.pipeline, dryRun, memoryIsShort, shards: trimmed };
}

interface Bounds {
  readonly bound: TrimBound | undefined;
  readonly keptBy: TrimLimit;
}

/** A stream without a plan does not exist. */
function boundsOf(plan: TrimPlan | undefined, memoryIsShort: boolean): Bounds {
  if (plan === undefined) return { bound: undefined, keptBy: { by: "not-applied" } };
  if (!memoryIsShort) return { bound: plan.bound, keptBy: plan.reason };
  return { bound: plan.underPressure, keptBy: plan.underPressure?.reason ?? plan.reason };
}

async function report(
  redis: StreamRedis,
  group: string,
  shard: ShardRecord,
  { bound, keptBy, removed }: Bounds & { readonly removed: number },
): Promise<TrimmedShard> {
  const { stream } = shard;
  const checkpoint = shard.checkpoint ?? null;
  const info = await readStreamInfo(redis, { stream, group, checkpoint });
  const removable = removesAny(bound, info.firstId)
    ? await countBelow(redis, stream, bound.minId, mostCounted)
    : 0;
  return {
    stream,
    checkpoint,
    removed,
    removable,
    keptBy,
    entries: info.length,
    oldestId: info.firstId ?? null,
    replayWindowSeconds: info.windowSeconds,
    bytes: info.bytes ?? null,
  };
}

/** The report for people. */
export function trimText(report: TrimReport): string {
  const header = [
    "STREAM",
    report.dryRun ? "WOULD GO" : "GONE",
    "LEFT",
    "BYTES",
    "OLDEST",
    "WINDOW",
    "KEPT BY",
  ];
  const rows = report.shards.map((shard) => [
    shard.stream,
    report.dryRun ? counted(shard.removable) : String(shard.removed),
    String(shard.entries),
    shard.bytes === null ? "?" : readableBytes(shard.bytes),
    shard.oldestId ?? "-",
    shard.oldestId === null ? "-" : readableSeconds(shard.replayWindowSeconds),
    shard.entries === 0 ? "-" : reasons(shard.keptBy),
  ]);
  const short = report.memoryIsShort ? "Redis's memory is short: retention gives way\n" : "";
  return `${short}${alignedTable(header, rows)}`;
}

function counted(entries: number): string {
  return entries >= mostCounted ? `${entries}+` : String(entries);
}

/** Completes "the oldest entry that stays is kept by …". */
function reasons(limit: TrimLimit): string {
  switch (limit.by) {
    case "not-applied":
      return "nothing of it is durably applied";
    case "no-group":
      return "the group is missing; the shard's owner makes it";
    case "rolled-back":
      return "the stream is behind the checkpoint; the shard's owner begins it again";
    case "checkpoint":
      return "not yet applied and settled";
    case "group":
      return `group ${limit.group}`;
    case "age":
      return "SLUICE_RETAIN_AGE";
    case "entries":
      return "SLUICE_RETAIN_ENTRIES";
    case "bytes":
      return "SLUICE_RETAIN_BYTES";
    default:
      return limit satisfies never;
  }
}
