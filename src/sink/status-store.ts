import type pg from "pg";
import { SluiceError } from "../errors/sluice-error.ts";
import type { ShardState } from "../observe/progress.ts";
import type { MemberState } from "./member-store.ts";
import { readStreamFindings, type StreamFinding } from "./stream-record-store.ts";

/** What reading needs of a connection or pool. */
export type StatusDatabase = Pick<pg.Pool, "query">;

export interface MemberRow {
  readonly name: string;
  readonly host: string;
  readonly version: string;
  /** ISO 8601, the database's clock. */
  readonly lastSeen: string;
  readonly state: MemberState;
}

export interface ShardRow {
  readonly stream: string;
  readonly state: ShardState;
  /** Null when nobody's lease is valid. */
  readonly owner: string | null;
  readonly epoch: number;
  /** Id of the last applied entry; null: nothing was ever applied. */
  readonly checkpoint: string | null;
  readonly lastError: LastError | null;
  /** Streams of one setting of the shard router; 0: no member has registered the stream yet. */
  readonly generation: number;
  /** Nothing needs the shard any more. */
  readonly retired: boolean;
}

/** As the shard's row keeps it. */
export interface LastError {
  readonly code: string;
  readonly message: string;
  readonly [detail: string]: unknown;
}

const selectMembers = `
  SELECT name, host, version, state, to_char(last_seen AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "lastSeen"
  FROM sluice.member WHERE pipeline = $1 ORDER BY name`;

// A shard whose lease has run out is free, whatever its row still says; one that stopped keeps its error.
const selectShards = `
  SELECT stream,
         CASE WHEN owner IS NULL OR lease_until IS NULL OR lease_until <= clock_timestamp() THEN 'free' ELSE state END AS state,
         CASE WHEN lease_until > clock_timestamp() THEN owner END AS owner,
         epoch::float8 AS epoch, checkpoint, last_error AS "lastError",
         generation, retired_at IS NOT NULL AS retired
  FROM sluice.shard WHERE pipeline = $1 ORDER BY generation, stream`;

const selectRedis = `
  SELECT extract(epoch FROM now() - changed_at)::float8 AS "secondsAgo" FROM sluice.redis_server WHERE pipeline = $1`;

export interface PipelineRows {
  readonly members: readonly MemberRow[];
  readonly shards: readonly ShardRow[];
  /** When another Redis server than the one before was first seen; undefined: there has been only one. */
  readonly otherRedisSecondsAgo: number | undefined;
  readonly findings: readonly StreamFinding[];
}

/** Members and shards of a pipeline as the bookkeeping schema has them. */
export async function readPipelineRows(database: StatusDatabase, pipeline: string): Promise<PipelineRows> {
  try {
    const members = await database.query<MemberRow>(selectMembers, [pipeline]);
    const shards = await database.query<ShardRow>(selectShards, [pipeline]);
    const redis = await database.query<{ secondsAgo: number | null }>(selectRedis, [pipeline]);
    const otherRedisSecondsAgo = redis.rows[0]?.secondsAgo ?? undefined;
    const findings = await readStreamFindings(database, pipeline);
    return { members: members.rows, shards: shards.rows, otherRedisSecondsAgo, findings };
  } catch (error) {
    throw statusError(error);
  }
}

/** An error of a query that only reads, as the operator should see it. */
export function statusError(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const state = error instanceof Error && "code" in error ? String(error.code) : "";
  const message = error instanceof Error ? error.message || state : String(error);
  if (state === "42P01" || state === "3F000" || state === "42703") {
    return new SluiceError("SCHEMA_MISSING", `the bookkeeping schema is not there: ${message}`, {
      cause: error,
    });
  }
  if (state === "42501") {
    const remedy =
      "Run `sluice migrate` with this role, or grant it USAGE on schema sluice and all rights on its tables.";
    return new SluiceError("PERMISSION_DENIED", message, { remedy, cause: error });
  }
  return new SluiceError("DATABASE_UNAVAILABLE", `the read database is not available: ${message}`, {
    cause: error,
  });
}
