import type pg from "pg";
import { compareEntryIds, firstEntryId } from "../change/entry-id.ts";

/** A shard's row, as maintenance needs it. */
export interface ShardRecord {
  readonly stream: string;
  readonly generation: number;
  readonly retired: boolean;
  /** Undefined: nothing was ever applied. */
  readonly checkpoint: string | undefined;
  /** Entries of the stream at or before the checkpoint, removed ones included. */
  readonly entries: bigint;
  readonly epoch: string;
  /** Undefined: nobody's lease is valid. */
  readonly owner: string | undefined;
}

/** Rows of one prune statement. */
const mostPruned = 10_000;

/** What deletes leave behind: their positions, and for key changes the row's large values. */
export type Prunable = "tombstone" | "saved_image";

const prunable: Readonly<Record<Prunable, { readonly time: string; readonly condition: string }>> = {
  tombstone: { time: "deleted_at", condition: "missed IS NULL" },
  saved_image: { time: "saved_at", condition: "true" },
};

/** Statements of maintenance, on connections that carry no batches. */
export class MaintenanceStore {
  private readonly pool: pg.Pool;
  private readonly pipeline: string;

  constructor(pool: pg.Pool, pipeline: string) {
    this.pool = pool;
    this.pipeline = pipeline;
  }

  /**
   * The pipeline's shards, with checkpoints that a crash of the read database cannot take back: batches commit without waiting for
   * the disk, so a checkpoint that everyone sees may still be lost together with its rows, and then the entries behind it are
   * needed again (I6).
   *
   * What is visible was written to the log before; so all of it is durable once the log is flushed up to where it ended after
   * the rows were read. If it is not yet, a transaction of our own flushes it. Both happen on one connection: a crash of the server in
   * between breaks it, and the place in the log could be another's afterwards.
   */
  async durableShards(): Promise<ShardRecord[]> {
    return await this.onClient(async (client) => {
      const { rows } = await client.query<ShardRecordRow>(selectShards, [this.pipeline]);
      const logEnd = rows[0]?.logEnd;
      if (logEnd !== undefined && !(await isFlushed(client, logEnd))) {
        await flush(client);
        if (!(await isFlushed(client, logEnd))) return rows.map((row) => recordOf(row, undefined));
      }
      return rows.map((row) => recordOf(row, row.checkpoint ?? undefined));
    });
  }

  /** Forgets members that have given no sign of life for long: one that lives after all puts its row back. */
  async removeSilentMembers(silentMs: number): Promise<void> {
    await this.pool.query(
      "DELETE FROM sluice.member WHERE pipeline = $1 AND last_seen < clock_timestamp() - $2 * '1 ms'::interval",
      [this.pipeline, silentMs],
    );
  }

  /** Remembers the Redis server. Tells how long ago another one was first seen; undefined: there has been only one. */
  async seeRedis(replicationId: string): Promise<number | undefined> {
    const { rows } = await this.pool.query<{ secondsAgo: number | null }>(
      `INSERT INTO sluice.redis_server AS r (pipeline, replication_id) VALUES ($1, $2)
       ON CONFLICT (pipeline) DO UPDATE SET replication_id = EXCLUDED.replication_id, seen_at = now(),
         changed_at = CASE WHEN r.replication_id = EXCLUDED.replication_id THEN r.changed_at ELSE now() END
       RETURNING extract(epoch FROM now() - changed_at)::float8 AS "secondsAgo"`,
      [this.pipeline, replicationId],
    );
    return rows[0]?.secondsAgo ?? undefined;
  }

  /**
   * Sets the count of entries at or before the checkpoint, if the shard has not moved meanwhile, and records those that were `deleted`
   * before they were applied: the count that showed them is then gone.
   */
  async recount(shard: ShardRecord, entries: bigint, deleted: bigint): Promise<boolean> {
    const { rows } = await this.pool.query<{ counted: boolean }>(
      `WITH counted AS (
         UPDATE sluice.shard SET entries = $5
         WHERE pipeline = $1 AND stream = $2 AND epoch = $3 AND checkpoint = $4 RETURNING stream),
       recorded AS (
         INSERT INTO sluice.stream_record AS r (pipeline, stream, deleted, deleted_at)
         SELECT $1, stream, $6, now() FROM counted WHERE $6::bigint > 0
         ON CONFLICT (pipeline, stream) DO UPDATE SET deleted = EXCLUDED.deleted + r.deleted, deleted_at = now())
       SELECT count(*) = 1 AS counted FROM counted`,
      [this.pipeline, shard.stream, shard.epoch, shard.checkpoint, entries.toString(), deleted.toString()],
    );
    return rows[0]?.counted === true;
  }

  /**
   * Whether the shard has the same owner's epoch and is not behind its place of then. A row that is held against everybody may be about to
   * be put back, and counts as gone; batches, which hold it against each other only, do not matter.
   */
  async stands(shard: ShardRecord): Promise<boolean> {
    const { rows } = await this.pool.query<{ checkpoint: string | null }>(
      "SELECT checkpoint FROM sluice.shard WHERE pipeline = $1 AND stream = $2 AND epoch = $3 FOR KEY SHARE SKIP LOCKED",
      [this.pipeline, shard.stream, shard.epoch],
    );
    const now = rows[0]?.checkpoint ?? firstEntryId;
    return rows.length > 0 && compareEntryIds(now, shard.checkpoint ?? firstEntryId) >= 0;
  }

  /** Marks the shard as needed no more, if it has not moved meanwhile. */
  async retire(shard: ShardRecord): Promise<boolean> {
    const { rowCount } = await this.pool.query(
      `UPDATE sluice.shard SET retired_at = now()
       WHERE pipeline = $1 AND stream = $2 AND epoch = $3 AND checkpoint IS NOT DISTINCT FROM $4 AND retired_at IS NULL`,
      [this.pipeline, shard.stream, shard.epoch, shard.checkpoint ?? null],
    );
    return rowCount === 1;
  }

  /**
   * Removes what deletes left behind and is older than both times, oldest first, at most ten thousand. Rows that a batch holds are passed
   * over, so a batch never waits in a circle with it; one member does it at a time. Zero while another pipeline uses the tables: its
   * streams may still hold what contradicts them. A delete that is to be looked at again keeps its tombstone.
   */
  async prune(
    what: Prunable,
    olderThan: { readonly ageSeconds: number; readonly beforeMs: number },
  ): Promise<number> {
    const { time, condition } = prunable[what];
    const { rowCount } = await this.pool.query(
      `WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtext('sluice.${what}')) AS mine)
       DELETE FROM sluice.${what} WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM sluice.${what}
         WHERE (SELECT mine FROM turn) AND ${condition}
           AND ${time} < least(now() - $2 * interval '1 second', to_timestamp($3 / 1000.0))
           AND NOT EXISTS (SELECT FROM sluice.shard WHERE pipeline <> $1 AND retired_at IS NULL)
         ORDER BY ${time} LIMIT ${mostPruned} FOR UPDATE SKIP LOCKED))`,
      [this.pipeline, olderThan.ageSeconds, olderThan.beforeMs],
    );
    return rowCount ?? 0;
  }

  private async onClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      client.release(true);
      throw error;
    }
  }
}

// The log's end is read for each row, hence after the statement has chosen which rows it sees.
const selectShards = `
  SELECT stream, generation, retired_at IS NOT NULL AS retired, checkpoint, entries::text, epoch::text,
         CASE WHEN lease_until > clock_timestamp() THEN owner END AS owner,
         pg_current_wal_insert_lsn()::text AS "logEnd"
  FROM sluice.shard WHERE pipeline = $1 ORDER BY generation, stream`;

interface ShardRecordRow {
  readonly stream: string;
  readonly generation: number;
  readonly retired: boolean;
  readonly checkpoint: string | null;
  readonly entries: string;
  readonly epoch: string;
  readonly owner: string | null;
  readonly logEnd: string;
}

function recordOf(row: ShardRecordRow, checkpoint: string | undefined): ShardRecord {
  const { stream, generation, retired, epoch } = row;
  const owner = row.owner ?? undefined;
  return { stream, generation, retired, epoch, owner, checkpoint, entries: BigInt(row.entries) };
}

async function isFlushed(client: pg.ClientBase, logEnd: string): Promise<boolean> {
  const { rows } = await client.query<{ flushed: boolean }>(
    "SELECT pg_current_wal_flush_lsn() >= $1::pg_lsn AS flushed",
    [logEnd],
  );
  return rows[0]?.flushed === true;
}

/** A commit that waits for this server's disk takes everything before it along. It needs something to commit. */
async function flush(client: pg.ClientBase): Promise<void> {
  await client.query("BEGIN");
  await client.query("SET LOCAL synchronous_commit = local");
  await client.query("SELECT pg_logical_emit_message(true, 'sluice', '')");
  await client.query("COMMIT");
}
