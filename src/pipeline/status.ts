import type { Config } from "../config/config.ts";
import { errorManuals, type ErrorManual } from "../errors/codes.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { ShardState, Warning } from "../observe/progress.ts";
import {
  failOverWarnings,
  findingWarnings,
  memoryWarnings,
  redisWarnings,
  shardWarnings,
  type WatchedShard,
} from "../maintenance/watch.ts";
import { openPool } from "../sink/connect.ts";
import type { MemberState } from "../sink/member-store.ts";
import {
  readPipelineRows,
  type LastError,
  type ShardRow,
  type StatusDatabase,
} from "../sink/status-store.ts";
import { openRedis, redisUnavailable } from "../source/connect.ts";
import type { StreamRedis } from "../source/ask.ts";
import { readRedisFacts, readStreamInfo, type StreamInfo } from "../source/stream-info.ts";

/** The contract of `sluice status --json` and `GET /status`. Fields may be added, never renamed. */
export interface StatusReport {
  readonly pipeline: string;
  /** When both stores were asked, ISO 8601: the server's reports may be a second old. */
  readonly collectedAt: string;
  readonly members: readonly MemberStatus[];
  readonly shards: readonly ShardStatus[];
  readonly warnings: readonly Warning[];
}

export interface MemberStatus {
  readonly name: string;
  readonly host: string;
  readonly version: string;
  /** ISO 8601. */
  readonly lastSeen: string;
  /** Streams of the shards that it owns. */
  readonly shards: readonly string[];
  /** `running`, also while it stands by because there are more members than shards; `leaving`; `cut-off` from Redis. */
  readonly state: MemberState;
}

export interface ShardStatus {
  readonly stream: string;
  readonly state: ShardState;
  /** A member's name; null when nobody owns the shard. */
  readonly owner: string | null;
  readonly epoch: number;
  readonly checkpoint: string | null;
  /** Null: not known. */
  readonly lagEntries: number | null;
  readonly pendingEntries: number | null;
  readonly freshnessSeconds: number | null;
  readonly lastError: LastError | null;
  /** Streams of one setting of the shard router; 0: no member has registered the stream yet. */
  readonly generation: number;
  /** Entries that the stream holds, applied ones included; null here and below: not known. */
  readonly entries: number | null;
  /** The oldest entry left; null also when the stream is empty. */
  readonly oldestId: string | null;
  /** Age of the oldest entry left. */
  readonly replayWindowSeconds: number | null;
  /** Memory of the stream, as Redis estimates it. */
  readonly bytes: number | null;
}

type StatusConfig = Pick<Config, "pipeline" | "group" | "streams" | "memoryHigh">;

/**
 * Reads both stores once and changes nothing. Without Redis (undefined) what it knows is null; without the read
 * database there is nothing to report, and it rejects.
 */
export async function collectStatus(
  config: StatusConfig,
  pool: StatusDatabase,
  redis: StreamRedis | undefined,
): Promise<StatusReport> {
  const collectedAt = new Date().toISOString();
  const known = await readPipelineRows(pool, config.pipeline);
  const { members, shards: all } = known;
  const shards = all.filter(({ retired }) => !retired);
  const rows = [...config.streams.map((stream) => rowOf(shards, stream)), ...others(shards, config.streams)];
  const streams = await readStreams(
    config,
    rows,
    all.filter(({ retired }) => retired),
    redis,
  );
  return {
    pipeline: config.pipeline,
    collectedAt,
    members: members.map((member) => ({
      ...member,
      shards: rows.filter((row) => row.owner === member.name).map((row) => row.stream),
    })),
    shards: rows.map((row, index) => shardStatus(row, streams.infos[index])),
    warnings: [
      ...streams.warnings,
      ...stoppedWarnings(rows),
      ...findingWarnings(known.findings),
      ...failOverWarnings(known.otherRedisSecondsAgo),
      ...ownershipWarnings(members.length, rows),
    ],
  };
}

/** A stream that no member has looked at yet has no row. */
function rowOf(shards: readonly ShardRow[], stream: string): ShardRow {
  const known = shards.find((shard) => shard.stream === stream);
  const unknown = { owner: null, epoch: 0, checkpoint: null, lastError: null, generation: 0, retired: false };
  return known ?? { stream, state: "free", ...unknown };
}

function others(shards: readonly ShardRow[], streams: readonly string[]): readonly ShardRow[] {
  return shards.filter((shard) => !streams.includes(shard.stream));
}

function shardStatus(row: ShardRow, info: StreamInfo | undefined): ShardStatus {
  return {
    stream: row.stream,
    state: row.state,
    owner: row.owner,
    epoch: row.epoch,
    checkpoint: row.checkpoint,
    lagEntries: info?.lagEntries ?? null,
    pendingEntries: info?.pendingEntries ?? null,
    freshnessSeconds: info?.freshnessSeconds ?? null,
    lastError: row.lastError,
    generation: row.generation,
    entries: info?.length ?? null,
    oldestId: info?.firstId ?? null,
    replayWindowSeconds: info?.windowSeconds ?? null,
    bytes: info?.bytes ?? null,
  };
}

interface StreamsRead {
  /** Of the rows that are not retired, in their order. */
  readonly infos: readonly StreamInfo[];
  readonly warnings: readonly Warning[];
}

async function readStreams(
  config: StatusConfig,
  rows: readonly ShardRow[],
  retired: readonly ShardRow[],
  redis: StreamRedis | undefined,
): Promise<StreamsRead> {
  try {
    if (redis === undefined) throw redisUnavailable("no connection");
    const facts = await readRedisFacts(redis);
    const all = [...rows, ...retired];
    const infos = await Promise.all(
      all.map(({ stream, checkpoint }) => readStreamInfo(redis, { stream, group: config.group, checkpoint })),
    );
    const unknown = rows.filter((_, index) => infos[index]?.lagEntries === null).map((row) => row.stream);
    const watched = all.map((row, index) => watchedShard(row, infos[index]));
    const windows = infos.flatMap((info) => (info.length > 0 ? [info.windowSeconds] : []));
    const window = windows.length === 0 ? undefined : Math.min(...windows);
    return {
      infos,
      warnings: [
        ...redisWarnings(facts),
        ...memoryWarnings(config.memoryHigh, facts, window),
        ...shardWarnings(watched, config.streams),
        ...lagWarnings(unknown),
      ],
    };
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return { infos: [], warnings: [{ code: error.code, message: error.message, remedy: error.remedy }] };
  }
}

function watchedShard(row: ShardRow, info: StreamInfo | undefined): WatchedShard {
  const { stream, generation, retired, checkpoint } = row;
  const ids = { firstId: info?.firstId, lastId: info?.lastId };
  return { stream, generation, retired, checkpoint: checkpoint ?? undefined, ...ids };
}

/** Also of shards that nobody owns at the moment: the next owner will meet the same. */
function stoppedWarnings(rows: readonly ShardRow[]): readonly Warning[] {
  return rows.flatMap(({ stream, state, lastError }) => {
    if (lastError === null || (state !== "stopped" && !(state === "free" && stops(lastError.code))))
      return [];
    const message = `${stream} is stopped: ${lastError.code}: ${lastError.message}`;
    const remedy = typeof lastError["remedy"] === "string" ? lastError["remedy"] : "See the shard's error.";
    return [{ code: "SHARD_STOPPED", stream, message, remedy }];
  });
}

function stops(code: string): boolean {
  const manuals: Readonly<Record<string, ErrorManual>> = errorManuals;
  return manuals[code]?.policy === "stop";
}

function lagWarnings(streams: readonly string[]): readonly Warning[] {
  if (streams.length === 0) return [];
  const remedy = "None if it passes with the next rewind; entries that were removed with XDEL cause it.";
  return [{ code: "LAG_UNKNOWN", message: `Redis cannot tell the lag of ${streams.join(", ")}`, remedy }];
}

function ownershipWarnings(members: number, rows: readonly ShardRow[]): readonly Warning[] {
  const free = rows.filter((row) => row.owner === null).map((row) => row.stream);
  if (members === 0) {
    return [{ code: "NO_MEMBER", message: "no member is registered", remedy: "Start `sluice run`." }];
  }
  if (free.length === 0) return [];
  const remedy =
    "None if it passes within the lease time; else see whether the members run with the same SLUICE_STREAMS.";
  return [{ code: "SHARD_FREE", message: `nobody owns ${free.join(", ")}`, remedy }];
}

export interface StatusSource {
  /** A report that is at most a second old; calls at the same time share one. */
  read(): Promise<StatusReport>;
  close(): Promise<void>;
}

const cacheMs = 1_000;
const answerWithinMs = 5_000;

/** Reports for the HTTP server and the command line, on connections apart from those that carry changes. */
export function createStatusSource(
  config: StatusConfig & Pick<Config, "redisUrl" | "databaseUrl">,
): StatusSource {
  const pool = openPool({
    url: config.databaseUrl,
    applicationName: "sluice status",
    max: 1,
    statementTimeoutMs: answerWithinMs,
  });
  let redis: StreamRedis | undefined;
  let cached: { readonly at: number; readonly report: Promise<StatusReport> } | undefined;

  const connected = async (): Promise<StreamRedis | undefined> => {
    if (redis?.status === "ready") return redis;
    redis?.disconnect();
    redis = await openRedis({ url: config.redisUrl, name: "sluice-status" }).catch(() => undefined);
    return redis;
  };
  const collect = async (): Promise<StatusReport> => {
    const client = await connected();
    // A server that hangs would leave its commands open for ever; cutting the connection ends them.
    const cut = setTimeout(() => client?.disconnect(), answerWithinMs);
    return await collectStatus(config, pool, client).finally(() => clearTimeout(cut));
  };
  return {
    read: () => {
      const now = performance.now();
      if (cached === undefined || now - cached.at > cacheMs) cached = { at: now, report: collect() };
      return cached.report;
    },
    close: async () => {
      redis?.disconnect();
      await pool.end();
    },
  };
}
