import type { Operation } from "../change/change.ts";

/** How far a shard had come: the highest position of a snapshot's row, and the farthest place that the primary had committed. */
export interface SeenPlace {
  readonly snapshotPosition: bigint;
  readonly commitLsn: number;
}

/**
 * The position that guards rows (I4, ADR 6): where the change was logged. For each key it grows with the commits, since a second
 * transaction can only change a row once the first has ended.
 *
 * A snapshot's rows break that. They are as of one place in the log; a transaction that was open there logged changes below it and
 * commits them behind it. By where they were logged they would look older than the snapshot's row and be dropped in silence. So
 * what was logged below the newest snapshot and committed behind it is lifted right above it. Nothing else lies there: places in the
 * log are multiples of eight. What is sent again from before the snapshot was committed before it, and stays below.
 *
 * Takes the shard's changes in order; places have the shard's base added.
 */
export class Positions {
  private snapshot: bigint;
  private farthest: number;
  /** The first snapshot row that comes is believed instead. */
  private assumed = false;

  constructor({ snapshotPosition, commitLsn }: SeenPlace) {
    this.snapshot = snapshotPosition;
    this.farthest = commitLsn;
  }

  /** For entries from anywhere before the shard's end, which are as they were then once a snapshot is met among them. */
  static ofReplay(snapshotPosition: bigint): Positions {
    const positions = new Positions({ snapshotPosition, commitLsn: Infinity });
    positions.assumed = true;
    return positions;
  }

  /** The newest snapshot's place. */
  get snapshotLsn(): number {
    return Number(this.snapshot);
  }

  /** `committed`: how far the primary had committed before; Debezium does not know of the first transaction after a start. */
  of(op: Operation, logged: bigint, committed: number | undefined): bigint {
    if (op === "r") this.meetSnapshot(logged, committed);
    else if (logged <= this.snapshot) {
      if (!this.isBehindSnapshot(committed)) return logged;
      if (committed !== undefined) this.pass(committed);
      return this.snapshot + 1n;
    } else this.pass(committed ?? Number(logged));
    return logged;
  }

  private meetSnapshot(logged: bigint, committed: number | undefined): void {
    if (this.assumed) [this.snapshot, this.farthest, this.assumed] = [logged, 0, false];
    else if (logged > this.snapshot) this.snapshot = logged;
    this.pass(committed ?? Number(logged));
  }

  /** Without a last commit only what comes straight after the snapshot is. */
  private isBehindSnapshot(committed: number | undefined): boolean {
    return committed === undefined ? this.farthest <= this.snapshotLsn : committed >= this.snapshotLsn;
  }

  private pass(place: number): void {
    if (place > this.farthest) this.farthest = place;
  }
}
