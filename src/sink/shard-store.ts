import type pg from "pg";
import type { LogPlace } from "../decode/log-order.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { ShardState } from "../observe/progress.ts";
import { sleep } from "../runtime/sleep.ts";
import { assertSql, isAssertion } from "./assertion.ts";
import { newStreams, type KnownStream } from "./generations.ts";
import type { Step } from "./step-sequence.ts";

/**
 * The rows of `sluice.shard`: leases and checkpoints. Taking a shard raises its epoch, and every write of a shard names the
 * epoch that it was taken with, so a member that was paused or cut off can change nothing (I2).
 */
export interface ShardStoreOptions {
  readonly pool: pg.Pool;
  readonly pipeline: string;
  readonly member: string;
  readonly leaseMs: number;
}

/** The right to write a shard. */
export interface Lease {
  readonly stream: string;
  readonly epoch: string;
  readonly generation: number;
}

/** A shard that may be owned, as all members see it. */
export interface ShardOwner {
  readonly stream: string;
  /** Undefined: nobody's lease is valid. */
  readonly owner: string | undefined;
}

/** What is applied: every entry up to `id`. */
export interface Checkpoint {
  /** Undefined: nothing was ever applied. */
  readonly id: string | undefined;
  /** Entries of the stream at or before it, removed ones included. */
  readonly entries: bigint;
}

/** The checkpoint, and where the changes up to it lie in the primary's log. */
export interface SavedPlace extends Checkpoint, LogPlace {
  /** Highest of all. */
  readonly position: bigint;
}

/** What a batch adds to the shard's row. */
export interface BatchSummary extends LogPlace {
  /** Highest of the batch. */
  readonly position: bigint;
  readonly applied: number;
  readonly skipped: number;
}

/** A shard's checkpoint goes from one place to another. */
export interface Move {
  readonly lease: Lease;
  readonly from: Checkpoint;
  readonly to: Checkpoint;
  /** What was applied on the way. */
  readonly done: BatchSummary;
}

export const nothingDone: BatchSummary = {
  ...{ position: 0n, snapshotPosition: 0n, commitLsn: 0, committedAtMs: 0 },
  ...{ applied: 0, skipped: 0 },
};

/**
 * A lease that ends later than this many leases from now was given before the database's clock was set back; a living owner renews it
 * at once, a dead one's would hold the shard for the whole jump.
 */
const furthestLeases = 2;

/** Nobody's lease is valid any more; `$n` stands for the lease's milliseconds. */
function isExpired(leaseMs: string): string {
  return `(lease_until <= clock_timestamp() OR lease_until > clock_timestamp() + ${furthestLeases} * ${leaseMs} * '1 ms'::interval)`;
}

/**
 * $1 pipeline, $2 moves as a JSON array of objects, $3 the lease's milliseconds. Where a row is missing it fails, so that everything that was
 * sent behind it is rolled back.
 */
const moveSql = `WITH w AS MATERIALIZED (
    SELECT * FROM json_to_recordset($2::json) AS w (stream text, epoch bigint, "from" text, "to" text, entries bigint, position bigint,
      snapshot_position bigint, applied bigint, skipped bigint, commit_lsn bigint, committed_at_ms bigint) ORDER BY stream),
  moved AS (UPDATE sluice.shard s SET checkpoint = w."to", entries = s.entries + w.entries, position = greatest(s.position, w.position),
      changes_applied = changes_applied + w.applied, changes_skipped = changes_skipped + w.skipped,
      commit_lsn = greatest(s.commit_lsn, w.commit_lsn), committed_at_ms = greatest(s.committed_at_ms, w.committed_at_ms),
      snapshot_position = greatest(s.snapshot_position, w.snapshot_position),
      lease_until = clock_timestamp() + $3::bigint * '1 ms'::interval, state = 'running', last_error = NULL, updated_at = now()
    FROM w WHERE s.pipeline = $1 AND s.stream = w.stream AND s.epoch = w.epoch AND s.checkpoint IS NOT DISTINCT FROM w."from" RETURNING 1)
  ${assertSql("(SELECT count(*) FROM moved) = (SELECT count(*) FROM w)")}`;

/** How long to wait for a session that was told to end. */
const endsWithinMs = 500;

export class ShardStore {
  private readonly options: ShardStoreOptions;
  /** By stream: an older one must not come behind it. */
  private readonly newestState = new Map<string, symbol>();

  constructor(options: ShardStoreOptions) {
    this.options = options;
  }

  /** Adds rows for streams that have none. Throws STREAMS_MIXED. */
  async register(streams: readonly string[]): Promise<void> {
    const { pool, pipeline } = this.options;
    const { rows } = await pool.query<KnownStream>(
      "SELECT stream, generation, checkpoint IS NOT NULL AS used FROM sluice.shard WHERE pipeline = $1",
      [pipeline],
    );
    const added = newStreams(rows, streams);
    await pool.query(
      `INSERT INTO sluice.shard (pipeline, stream, generation) SELECT $1, unnest($2::text[]), $3 ON CONFLICT DO NOTHING`,
      [pipeline, [...added.streams], added.generation],
    );
  }

  /** All shards that are not retired, in order. */
  async owners(): Promise<ShardOwner[]> {
    const { pool, pipeline, leaseMs } = this.options;
    const { rows } = await pool.query<{ stream: string; owner: string | null }>(
      `SELECT stream, CASE WHEN NOT ${isExpired("$2")} THEN owner END AS owner
       FROM sluice.shard WHERE pipeline = $1 AND retired_at IS NULL ORDER BY generation, stream`,
      [pipeline, leaseMs],
    );
    return rows.map(({ stream, owner }) => ({ stream, owner: owner ?? undefined }));
  }

  /**
   * Takes those of the streams that are free, expired, or this member's own from before a restart. What is in the way of it, a dead
   * owner's transaction, is ended first.
   */
  async take(streams: readonly string[]): Promise<Lease[]> {
    if (streams.length === 0) return [];
    const taken = await this.takeUnlocked(streams);
    const left = streams.filter((stream) => !taken.some((lease) => lease.stream === stream));
    if (left.length === 0 || (await this.endDeadOwners(left)) === 0) return taken;
    return [...taken, ...(await this.takeUnlocked(left))];
  }

  private async takeUnlocked(streams: readonly string[]): Promise<Lease[]> {
    const { pool, pipeline, member, leaseMs } = this.options;
    const { rows } = await pool.query<Lease>(
      `UPDATE sluice.shard SET owner = $3, epoch = epoch + 1, lease_until = clock_timestamp() + $4 * '1 ms'::interval,
         state = 'running', updated_at = now()
       WHERE (pipeline, stream) IN (
         SELECT pipeline, stream FROM sluice.shard
         WHERE pipeline = $1 AND stream = ANY ($2::text[]) AND retired_at IS NULL
           AND (owner IS NULL OR owner = $3 OR ${isExpired("$4")})
           -- A crash must not take an epoch back: it would be given out twice.
           AND set_config('synchronous_commit', 'on', true) = 'on'
         ORDER BY stream FOR UPDATE SKIP LOCKED)
       RETURNING stream, epoch::text, generation`,
      [pipeline, [...streams], member, leaseMs],
    );
    return rows;
  }

  /**
   * Ends the sessions in which a dead owner holds a shard's row: one that was frozen in the middle of a batch keeps it locked until
   * a time limit of its session ends it, which may begin anew with each statement, so that the lock outlives the lease. Only the
   * session that holds the row (its transaction is what the row's xmax names), only of an owner that has given no sign of life for as
   * long as a lease, or of a former process of this member's own name. Returns how many were ended; they have rolled back then.
   */
  private async endDeadOwners(streams: readonly string[]): Promise<number> {
    const { pool, pipeline, member, leaseMs } = this.options;
    const { rows } = await pool.query<{ ended: boolean }>(
      `SELECT pg_terminate_backend(a.pid, ${endsWithinMs}) AS ended
       FROM sluice.shard s
       JOIN pg_locks l ON l.locktype = 'transactionid' AND l.transactionid = s.xmax AND l.granted
       JOIN pg_stat_activity a ON a.pid = l.pid
       WHERE s.pipeline = $1 AND s.stream = ANY ($2::text[]) AND a.application_name = left('sluice:' || s.owner, 63)
         AND a.datname = current_database() AND a.usename = current_user
         AND (s.owner = $3 OR ${isExpired("$4")} AND NOT EXISTS (
           SELECT FROM sluice.member m WHERE m.pipeline = $1 AND m.name = s.owner
             AND m.last_seen > clock_timestamp() - $4 * '1 ms'::interval))`,
      [pipeline, [...streams], member, leaseMs],
    );
    return rows.filter(({ ended }) => ended).length;
  }

  /**
   * Prolongs the leases and tells which were lost. Rows that a batch has locked are left to that batch, which prolongs its
   * lease itself.
   */
  async renew(leases: readonly Lease[]): Promise<Lease[]> {
    if (leases.length === 0) return [];
    const { pool, pipeline, member, leaseMs } = this.options;
    const streams = leases.map((lease) => lease.stream);
    await pool.query(
      `UPDATE sluice.shard SET lease_until = clock_timestamp() + $4 * '1 ms'::interval
       WHERE (pipeline, stream) IN (
         SELECT s.pipeline, s.stream FROM sluice.shard s
         JOIN unnest($2::text[], $5::bigint[]) AS mine(stream, epoch) USING (stream, epoch)
         WHERE s.pipeline = $1 AND s.owner = $3 FOR UPDATE OF s SKIP LOCKED)`,
      [pipeline, streams, member, leaseMs, leases.map((lease) => lease.epoch)],
    );
    const { rows } = await pool.query<{ stream: string; epoch: string }>(
      "SELECT stream, epoch::text FROM sluice.shard WHERE pipeline = $1 AND stream = ANY ($2::text[]) AND owner = $3",
      [pipeline, streams, member],
    );
    const held = new Map(rows.map((row) => [row.stream, row.epoch]));
    return leases.filter((lease) => held.get(lease.stream) !== lease.epoch);
  }

  /** Gives the shard back; does nothing when it was lost. */
  async release(lease: Lease): Promise<void> {
    const { pool, pipeline } = this.options;
    this.newestState.delete(lease.stream);
    await pool.query(
      `UPDATE sluice.shard SET owner = NULL, lease_until = NULL, state = 'free', updated_at = now()
       WHERE pipeline = $1 AND stream = $2 AND epoch = $3`,
      [pipeline, lease.stream, lease.epoch],
    );
  }

  async checkpoint(lease: Lease): Promise<SavedPlace> {
    const { pool, pipeline } = this.options;
    const { rows } = await pool.query<CheckpointRow>(
      `SELECT checkpoint, entries::text, position::text, snapshot_position::text AS "snapshotPosition",
         commit_lsn::float8 AS "commitLsn", committed_at_ms::float8 AS "committedAtMs"
       FROM sluice.shard WHERE pipeline = $1 AND stream = $2 AND epoch = $3`,
      [pipeline, lease.stream, lease.epoch],
    );
    const [row] = rows;
    if (row === undefined) throw leaseLost([lease]);
    const { commitLsn, committedAtMs } = row;
    return {
      ...{ id: row.checkpoint ?? undefined, entries: BigInt(row.entries) },
      ...{ position: BigInt(row.position), snapshotPosition: BigInt(row.snapshotPosition) },
      ...{ commitLsn, committedAtMs },
    };
  }

  /** Streams of earlier generations that may still have to be applied, with their checkpoints. */
  async earlierGenerations(
    lease: Lease,
  ): Promise<readonly { readonly stream: string; readonly checkpoint: string | null }[]> {
    const { pool, pipeline } = this.options;
    const { rows } = await pool.query<{ stream: string; checkpoint: string | null }>(
      `SELECT stream, checkpoint FROM sluice.shard WHERE pipeline = $1 AND generation < $2 AND retired_at IS NULL
       ORDER BY stream`,
      [pipeline, lease.generation],
    );
    return rows;
  }

  /** Puts the checkpoint elsewhere without applying anything: when a stream begins, or was rolled back below it. */
  async reset(lease: Lease, from: Checkpoint, to: Checkpoint): Promise<void> {
    await this.move(this.options.pool, { lease, from, to, done: nothingDone });
  }

  /** As `moving` says, by itself. */
  async move(client: pg.ClientBase | pg.Pool, move: Move): Promise<void> {
    const { text, values, failed } = this.moving([move]);
    await client.query({ name: "sluice_move", text, values: [...values] }).catch((error: unknown) => {
      throw failed(error);
    });
  }

  /**
   * The first statement of a batch's transaction: moves the checkpoints if nobody else did (I2). Fails with LEASE_LOST when the epoch or
   * the checkpoint of one of the shards is not the expected one.
   */
  moving(moves: readonly Move[]): Step & Required<Pick<Step, "failed">> {
    const { pipeline, leaseMs } = this.options;
    const wanted = moves.map(({ lease, from, to, done }) => ({
      ...{ stream: lease.stream, epoch: lease.epoch, from: from.id ?? null, to: to.id ?? null },
      entries: (to.entries - from.entries).toString(),
      ...{ applied: done.applied, skipped: done.skipped },
      ...{ position: done.position.toString(), snapshot_position: done.snapshotPosition.toString() },
      ...{ commit_lsn: done.commitLsn, committed_at_ms: done.committedAtMs },
    }));
    return {
      text: moveSql,
      values: [pipeline, JSON.stringify(wanted), String(leaseMs)],
      failed: (error) => (isAssertion(error) ? leaseLost(moves.map(({ lease }) => lease)) : error),
    };
  }

  /**
   * Publishes the shard's state for `status`; does nothing when the shard was lost or given back meanwhile. A transaction whose client
   * has given it up may hold the row: waiting for it must not take a connection from the leases, so that it tries again for a second.
   */
  async setState(lease: Lease, state: ShardState, error: SluiceError | undefined): Promise<void> {
    const { pool, pipeline } = this.options;
    const lastError =
      error === undefined
        ? null
        : JSON.stringify({
            code: error.code,
            message: error.message,
            place: error.place,
            remedy: error.remedy,
            at: new Date().toISOString(),
          });
    const { stream, epoch } = lease;
    const own = Symbol(state);
    this.newestState.set(stream, own);
    for (let tries = 0; tries < stateTries && this.newestState.get(stream) === own; tries++) {
      if (tries > 0) await sleep(statePauseMs);
      const { rowCount } = await pool.query(
        `UPDATE sluice.shard SET state = $4, last_error = $5, updated_at = now()
         WHERE (pipeline, stream) IN (
           SELECT pipeline, stream FROM sluice.shard
           WHERE pipeline = $1 AND stream = $2 AND epoch = $3 AND owner IS NOT NULL
           FOR UPDATE SKIP LOCKED)`,
        [pipeline, stream, epoch, state, lastError],
      );
      if (rowCount === 1) return;
    }
  }
}

const [stateTries, statePauseMs] = [20, 50];

interface CheckpointRow extends Pick<LogPlace, "commitLsn" | "committedAtMs"> {
  readonly checkpoint: string | null;
  readonly entries: string;
  readonly position: string;
  readonly snapshotPosition: string;
}

function leaseLost(leases: readonly Lease[]): SluiceError {
  const held = leases.map(({ stream, epoch }) => `${stream} (epoch ${epoch})`).join(" or ");
  const [first, second] = leases;
  const place = first === undefined || second !== undefined ? {} : { stream: first.stream };
  return new SluiceError("LEASE_LOST", `the lease of ${held} is held elsewhere`, { place });
}
