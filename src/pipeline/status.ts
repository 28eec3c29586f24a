import type { Config } from "../config/config.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { ShardState } from "../observe/progress.ts";
import { openPool } from "../sink/connect.ts";
import {
  readPipelineRows,
  type LastError,
  type ShardRow,
  type StatusDatabase,
} from "../sink/status-store.ts";
import { openRedis, redisUnavailable } from "../source/connect.ts";
import {
  readRedisFacts,
  readStreamInfo,
  type RedisFacts,
  type StreamInfo,
  type StreamRedis,
} from "../source/stream-info.ts";

/** The contract of `sluice status --json` and `GET /status`. Fields may be added, never renamed. */
export interface StatusReport {
  readonly pipeline: string;
  readonly members: readonly MemberStatus[];
  readonly shards: readonly ShardStatus[];
  readonly warnings: readonly StatusWarning[];
}

export interface MemberStatus {
  readonly name: string;
  readonly host: string;
  readonly version: string;
  /** ISO 8601. */
  readonly lastSeen: string;
  /** Streams of the shards that it owns. */
  readonly shards: readonly string[];
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
}

export interface StatusWarning {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

type StatusConfig = Pick<Config, "pipeline" | "group" | "streams">;

/**
 * Reads both stores once and changes nothing. Without Redis (undefined) what it knows is null; without the read
 * database there is nothing to report, and it rejects.
 */
export async function collectStatus(
  config: StatusConfig,
  pool: StatusDatabase,
  redis: StreamRedis | undefined,
): Promise<StatusReport> {
  const { members, shards } = await readPipelineRows(pool, config.pipeline);
  const rows = [...config.streams.map((stream) => rowOf(shards, stream)), ...others(shards, config.streams)];
  const streams = await readStreams(config, rows, redis);
  return {
    pipeline: config.pipeline,
    members: members.map((member) => ({
      ...member,
      shards: rows.filter((row) => row.owner === member.name).map((row) => row.stream),
    })),
    shards: rows.map((row, index) => shardStatus(row, streams.infos[index])),
    warnings: [...streams.warnings, ...ownershipWarnings(members.length, rows)],
  };
}

/** A stream that no member has looked at yet has no row. */
function rowOf(shards: readonly ShardRow[], stream: string): ShardRow {
  const known = shards.find((shard) => shard.stream === stream);
  return known ?? { stream, state: "free", owner: null, epoch: 0, checkpoint: null, lastError: null };
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
  };
}

interface StreamsRead {
  readonly infos: readonly StreamInfo[];
  readonly warnings: readonly StatusWarning[];
}

async function readStreams(
  config: StatusConfig,
  rows: readonly ShardRow[],
  redis: StreamRedis | undefined,
): Promise<StreamsRead> {
  try {
    if (redis === undefined) throw redisUnavailable("no connection");
    const facts = await readRedisFacts(redis);
    const places = rows.map((row) => ({
      stream: row.stream,
      group: config.group,
      checkpoint: row.checkpoint,
    }));
    const infos = await Promise.all(places.map((place) => readStreamInfo(redis, place)));
    const unknown = rows.filter((_, index) => infos[index]?.lagEntries === null).map((row) => row.stream);
    return { infos, warnings: [...redisWarnings(facts), ...lagWarnings(unknown)] };
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return { infos: [], warnings: [{ code: error.code, message: error.message, remedy: error.remedy }] };
  }
}

/** Settings of Redis under which entries can vanish before they are applied (I6). */
export function redisWarnings(facts: RedisFacts): readonly StatusWarning[] {
  const warnings: StatusWarning[] = [];
  if (facts.maxmemoryPolicy !== "" && facts.maxmemoryPolicy !== "noeviction") {
    warnings.push({
      code: "REDIS_EVICTS",
      message: `Redis's maxmemory-policy is ${facts.maxmemoryPolicy}: when memory is full it may drop whole streams`,
      remedy: "Set maxmemory-policy to noeviction.",
    });
  }
  if (facts.persistence === "off" || facts.persistence === "snapshots") {
    const what = facts.persistence === "off" ? "keeps nothing on disk" : "keeps snapshots only";
    warnings.push({
      code: "REDIS_NOT_PERSISTENT",
      message: `Redis ${what}: a crash loses entries that Debezium will not send again`,
      remedy: "Set appendonly to yes.",
    });
  }
  return warnings;
}

function lagWarnings(streams: readonly string[]): readonly StatusWarning[] {
  if (streams.length === 0) return [];
  const remedy = "None if it passes with the next rewind; entries that were removed with XDEL cause it.";
  return [{ code: "LAG_UNKNOWN", message: `Redis cannot tell the lag of ${streams.join(", ")}`, remedy }];
}

function ownershipWarnings(members: number, rows: readonly ShardRow[]): readonly StatusWarning[] {
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
