import type pg from "pg";
import { compareEntryIds } from "../change/entry-id.ts";
import type { LogPlace } from "../decode/log-order.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { Checkpoint, Lease } from "./shard-store.ts";

/** More than any log that can still wait in the streams, so that the base is above every position that may yet be written. */
const room = 2n ** 44n;

export interface PositionBase {
  readonly fromEntry: string;
  readonly base: bigint;
}

/** A shard that a restored primary has stopped: at which entry, and where it stood in the former primary's log. */
export interface RewoundStop extends LogPlace {
  readonly entryId: string;
}

/** A shard that has applied entries from some place on. */
export interface AppliedShard {
  readonly stream: string;
  readonly checkpoint: string;
  /** Entries of the stream at or before the checkpoint, removed ones included. */
  readonly entries: bigint;
}

/** A shard that cannot have noticed that the primary was restored, and is to apply again what it has applied since. */
export interface PutBack {
  readonly stream: string;
  readonly to: { readonly id: string; readonly entries: bigint };
}

export interface RewoundDecision {
  /** The first entry known to be of the restored primary. */
  readonly since: string;
  readonly decidedBy: string;
  /** Which of the shards that have applied something since are put back; their checkpoints stand still meanwhile. */
  readonly putBack: (applied: readonly AppliedShard[]) => Promise<readonly PutBack[]>;
}

/** How long the shards may stand still for a decision whose process hangs, in milliseconds. */
const longestHoldMs = 15_000;

/** `ms-seq` for comparisons; text would put 10 before 9. */
const orderOf = (id: string): string =>
  `(split_part(${id}, '-', 1)::numeric, split_part(${id}, '-', 2)::numeric)`;

/** What operators confirmed (`sluice accept`), and what follows from it for each shard's positions. */
export class DecisionStore {
  private readonly pool: pg.Pool;
  private readonly pipeline: string;

  constructor(pool: pg.Pool, pipeline: string) {
    this.pool = pool;
    this.pipeline = pipeline;
  }

  /** Of a shard, whoever owns it; undefined when the pipeline has no such shard. */
  async checkpoint(stream: string): Promise<Checkpoint | undefined> {
    const { rows } = await this.pool.query<{ checkpoint: string | null; entries: string }>(
      "SELECT checkpoint, entries::text FROM sluice.shard WHERE pipeline = $1 AND stream = $2",
      [this.pipeline, stream],
    );
    const [row] = rows;
    return row && { id: row.checkpoint ?? undefined, entries: BigInt(row.entries) };
  }

  /**
   * From which entries on the shard's positions have which base: from where it noticed a restored primary, and from the first entry of
   * that primary in any stream. A shard that had little to apply before cannot notice it by itself, yet its positions must rise with the others'.
   */
  async bases(stream: string): Promise<PositionBase[]> {
    const { rows } = await this.pool.query<{ fromEntry: string; base: string }>(
      `SELECT from_entry AS "fromEntry", base::text FROM sluice.position_base WHERE pipeline = $1 AND stream = $2
       UNION ALL
       SELECT detail ->> 'since', detail ->> 'base' FROM sluice.decision
       WHERE pipeline = $1 AND kind = 'rewound-primary'`,
      [this.pipeline, stream],
    );
    return rows.map(({ fromEntry, base }) => ({ fromEntry, base: BigInt(base) }));
  }

  /** The first entry that a restored primary has stopped a shard at. Undefined when it has stopped none. */
  async firstRewoundStop(): Promise<RewoundStop | undefined> {
    const { rows } = await this.pool.query<RewoundStop>(
      `SELECT last_error #>> '{place,entryId}' AS "entryId",
         commit_lsn::float8 AS "commitLsn", committed_at_ms::float8 AS "committedAtMs"
       FROM sluice.shard
       WHERE pipeline = $1 AND last_error ->> 'code' = 'PRIMARY_REWOUND' AND last_error #>> '{place,entryId}' IS NOT NULL`,
      [this.pipeline],
    );
    return rows.sort((left, right) => compareEntryIds(left.entryId, right.entryId))[0];
  }

  /** The pipeline's shards, whoever owns them. */
  async streams(): Promise<string[]> {
    const { rows } = await this.pool.query<{ stream: string }>(
      "SELECT stream FROM sluice.shard WHERE pipeline = $1 AND retired_at IS NULL ORDER BY stream",
      [this.pipeline],
    );
    return rows.map(({ stream }) => stream);
  }

  /** Shards that have applied entries from `since` on, as if they were the former primary's. */
  async appliedSince(since: string): Promise<AppliedShard[]> {
    return await this.appliedOn(this.pool, since, "");
  }

  private async appliedOn(
    client: pg.ClientBase | pg.Pool,
    since: string,
    lock: "" | "FOR UPDATE",
  ): Promise<AppliedShard[]> {
    const { rows } = await client.query<{ stream: string; checkpoint: string | null; entries: string }>(
      `SELECT stream, checkpoint, entries::text FROM sluice.shard WHERE pipeline = $1 ORDER BY stream ${lock}`,
      [this.pipeline],
    );
    return rows.flatMap(({ stream, checkpoint, entries }) =>
      checkpoint === null || compareEntryIds(checkpoint, since) < 0
        ? []
        : [{ stream, checkpoint, entries: BigInt(entries) }],
    );
  }

  /**
   * Records that the primary was restored. Returns the base, above every position written so far. Every shard is taken from its owner, so
   * that it begins anew and learns of the base. All rows are held from the first look at the checkpoints on: no batch moves one in
   * between, however busy the shards are (I2).
   */
  async acceptRewoundPrimary({ since, decidedBy, putBack }: RewoundDecision): Promise<bigint> {
    const client = await this.pool.connect();
    try {
      await client.query("BEGIN");
      await client.query(`SET LOCAL idle_in_transaction_session_timeout = ${longestHoldMs}`);
      const again = await putBack(await this.appliedOn(client, since, "FOR UPDATE"));
      await client.query(
        `UPDATE sluice.shard SET epoch = epoch + 1, owner = NULL, lease_until = NULL, state = 'free',
           last_error = CASE WHEN last_error ->> 'code' <> 'PRIMARY_REWOUND' THEN last_error END
         WHERE pipeline = $1`,
        [this.pipeline],
      );
      for (const { stream, to } of again) {
        await client.query(
          "UPDATE sluice.shard SET checkpoint = $3, entries = $4 WHERE pipeline = $1 AND stream = $2",
          [this.pipeline, stream, to.id, to.entries.toString()],
        );
      }
      const { rows } = await client.query<{ base: string }>(
        `INSERT INTO sluice.decision (pipeline, kind, detail, decided_by)
         SELECT $1, 'rewound-primary',
           jsonb_build_object('base', (max(position) + $3::bigint)::text, 'since', $4::text, 'again', $5::text[]), $2
         FROM sluice.shard WHERE pipeline = $1
         RETURNING detail ->> 'base' AS base`,
        [this.pipeline, decidedBy, room.toString(), since, again.map(({ stream }) => stream)],
      );
      await client.query("COMMIT");
      client.release();
      return BigInt(rows[0]?.base ?? 0);
    } catch (error) {
      client.release(true);
      throw error;
    }
  }

  /**
   * Lets the shard count from a confirmed base from this entry on. False when nobody has confirmed, since the shard last did,
   * that the primary was restored. Of several restores, the shard may not have seen one: then that base holds which others have
   * had up to this entry.
   */
  async switchBase(lease: Lease, fromEntry: string): Promise<boolean> {
    const { rowCount } = await this.pool.query(
      `WITH confirmed AS (
         SELECT d.id, (d.detail ->> 'base')::bigint AS base FROM sluice.decision d
         JOIN sluice.shard s ON s.pipeline = $1 AND s.stream = $2 AND s.epoch = $3
         WHERE d.pipeline = $1 AND d.kind = 'rewound-primary' AND (d.detail ->> 'base')::bigint > s.position
           AND d.id > coalesce((SELECT max(decision_id) FROM sluice.position_base
             WHERE pipeline = $1 AND stream = $2), 0)
         ORDER BY CASE WHEN ${orderOf("(d.detail ->> 'since')")} <= ${orderOf("$4")} THEN d.id END DESC NULLS LAST, d.id
         LIMIT 1),
       switched AS (
         INSERT INTO sluice.position_base (pipeline, stream, from_entry, base, decision_id)
         SELECT $1, $2, $4, base, id FROM confirmed
         ON CONFLICT (pipeline, stream, from_entry) DO UPDATE SET base = EXCLUDED.base, decision_id = EXCLUDED.decision_id)
       UPDATE sluice.shard SET commit_lsn = 0, committed_at_ms = 0
       WHERE pipeline = $1 AND stream = $2 AND EXISTS (SELECT FROM confirmed)`,
      [this.pipeline, lease.stream, lease.epoch, fromEntry],
    );
    return rowCount === 1;
  }

  /** A shard of a new generation goes on, in the primary's log, where those before it have ended; its keys were theirs. */
  async inheritPlace(lease: Lease): Promise<void> {
    await this.pool.query(
      `UPDATE sluice.shard s SET commit_lsn = newest.commit_lsn, committed_at_ms = newest.committed_at_ms,
         position = highest.position, snapshot_position = highest.snapshot
       FROM (SELECT max(position) AS position, max(snapshot_position) AS snapshot FROM sluice.shard
         WHERE pipeline = $1 AND generation < $4) AS highest, (SELECT commit_lsn, committed_at_ms FROM sluice.shard WHERE pipeline = $1 AND generation < $4
         ORDER BY committed_at_ms DESC, commit_lsn DESC LIMIT 1) AS newest
       WHERE s.pipeline = $1 AND s.stream = $2 AND s.epoch = $3 AND s.checkpoint IS NULL`,
      [this.pipeline, lease.stream, lease.epoch, lease.generation],
    );
  }

  /**
   * Records that entries after the shard's place are lost, or may be, and lets it go on behind them. What was seen of the stream before
   * does not count any more.
   */
  async acceptGap(gap: {
    readonly stream: string;
    readonly from: Checkpoint;
    readonly goOnFrom: Checkpoint;
    /** Undefined: not known. */
    readonly lost: bigint | undefined;
    readonly decidedBy: string;
  }): Promise<void> {
    const { stream, from, goOnFrom } = gap;
    const lost = gap.lost?.toString() ?? "unknown";
    const { rowCount } = await this.pool.query(
      `WITH moved AS (
         UPDATE sluice.shard SET checkpoint = $4, entries = $5
         WHERE pipeline = $1 AND stream = $2 AND checkpoint IS NOT DISTINCT FROM $3 RETURNING stream),
       forgotten AS (
         UPDATE sluice.stream_record SET last_id = NULL, added = NULL
         WHERE pipeline = $1 AND stream IN (SELECT stream FROM moved))
       INSERT INTO sluice.decision (pipeline, kind, stream, detail, decided_by)
       SELECT $1, 'gap', stream, jsonb_build_object('checkpoint', $3::text, 'lost', $6::text), $7 FROM moved`,
      [
        this.pipeline,
        stream,
        from.id ?? null,
        goOnFrom.id ?? null,
        goOnFrom.entries.toString(),
        lost,
        gap.decidedBy,
      ],
    );
    if (rowCount !== 1) throw movedOn(stream);
  }
}

function movedOn(stream: string): SluiceError {
  return new SluiceError("INTERNAL", `${stream} has moved on meanwhile; nothing was recorded`, {
    place: { stream },
    remedy: "Look at `sluice status` and try again.",
  });
}

/** What is added to the positions of the entries of a shard. */
export function baseOf(bases: readonly PositionBase[]): ((entryId: string) => bigint) | undefined {
  if (bases.length === 0) return undefined;
  return (entryId) => {
    let highest = 0n;
    for (const { fromEntry, base } of bases)
      if (base > highest && compareEntryIds(fromEntry, entryId) <= 0) highest = base;
    return highest;
  };
}
