import type pg from "pg";
import { compareEntryIds } from "../change/entry-id.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { Checkpoint, Lease } from "./shard-store.ts";

/** More than any log that can still wait in the streams, so that the base is above every position that may yet be written. */
const room = 2n ** 44n;

export interface PositionBase {
  readonly fromEntry: string;
  readonly base: bigint;
}

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

  /** In the order of the entries from which they hold. */
  async bases(stream: string): Promise<PositionBase[]> {
    const { rows } = await this.pool.query<{ fromEntry: string; base: string }>(
      `SELECT from_entry AS "fromEntry", base::text FROM sluice.position_base WHERE pipeline = $1 AND stream = $2`,
      [this.pipeline, stream],
    );
    return rows
      .map(({ fromEntry, base }) => ({ fromEntry, base: BigInt(base) }))
      .sort((left, right) => compareEntryIds(left.fromEntry, right.fromEntry));
  }

  /** Records that the primary was restored. Returns the base, above every position written so far. */
  async acceptRewoundPrimary(decidedBy: string): Promise<bigint> {
    const { rows } = await this.pool.query<{ base: string }>(
      `INSERT INTO sluice.decision (pipeline, kind, detail, decided_by)
       SELECT $1, 'rewound-primary', jsonb_build_object('base', (max(position) + $3::bigint)::text), $2
       FROM sluice.shard WHERE pipeline = $1
       RETURNING detail ->> 'base' AS base`,
      [this.pipeline, decidedBy, room.toString()],
    );
    return BigInt(rows[0]?.base ?? 0);
  }

  /**
   * Lets the shard count from a confirmed base from this entry on. False when nobody has confirmed, since the shard last did,
   * that the primary was restored.
   */
  async switchBase(lease: Lease, fromEntry: string): Promise<boolean> {
    const { rowCount } = await this.pool.query(
      `WITH confirmed AS (
         SELECT d.id, (d.detail ->> 'base')::bigint AS base FROM sluice.decision d
         JOIN sluice.shard s ON s.pipeline = $1 AND s.stream = $2 AND s.epoch = $3
         WHERE d.pipeline = $1 AND d.kind = 'rewound-primary' AND (d.detail ->> 'base')::bigint > s.position
           AND d.id > coalesce((SELECT max(decision_id) FROM sluice.position_base
             WHERE pipeline = $1 AND stream = $2), 0)
         ORDER BY d.id DESC LIMIT 1),
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

  /** A shard of a new generation goes on with the base that those before it have reached. */
  async inheritBase(lease: Lease): Promise<void> {
    await this.pool.query(
      `INSERT INTO sluice.position_base (pipeline, stream, from_entry, base, decision_id)
       SELECT $1, $2, '0-0', b.base, b.decision_id FROM sluice.position_base b
       JOIN sluice.shard s USING (pipeline, stream)
       WHERE b.pipeline = $1 AND s.generation < $3 ORDER BY b.base DESC LIMIT 1
       ON CONFLICT DO NOTHING`,
      [this.pipeline, lease.stream, lease.generation],
    );
  }

  /**
   * Records that the entries between the checkpoint and what the stream still has are lost, and lets the shard go on behind them.
   * `entries`: how many of the stream's entries are at or before the place from which it goes on.
   */
  async acceptGap(gap: {
    readonly stream: string;
    readonly checkpoint: string;
    readonly entries: bigint;
    readonly lost: bigint;
    readonly decidedBy: string;
  }): Promise<void> {
    const { rowCount } = await this.pool.query(
      `WITH moved AS (
         UPDATE sluice.shard SET entries = $4 WHERE pipeline = $1 AND stream = $2 AND checkpoint = $3 RETURNING stream)
       INSERT INTO sluice.decision (pipeline, kind, stream, detail, decided_by)
       SELECT $1, 'gap', stream, jsonb_build_object('checkpoint', $3::text, 'lost', $5::text), $6 FROM moved`,
      [this.pipeline, gap.stream, gap.checkpoint, gap.entries.toString(), gap.lost.toString(), gap.decidedBy],
    );
    if (rowCount === 1) return;
    throw new SluiceError("INTERNAL", `${gap.stream} has moved on meanwhile; nothing was recorded`, {
      place: { stream: gap.stream },
      remedy: "Look at `sluice status` again.",
    });
  }
}

/** What is added to the positions of the entries of a shard. */
export function baseOf(bases: readonly PositionBase[]): (entryId: string) => bigint {
  if (bases.length === 0) return () => 0n;
  return (entryId) => {
    let base = 0n;
    for (const each of bases) if (compareEntryIds(each.fromEntry, entryId) <= 0) base = each.base;
    return base;
  };
}
