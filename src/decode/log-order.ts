import { SluiceError } from "../errors/sluice-error.ts";
import type { Change } from "../change/change.ts";
import type { SeenPlace } from "./positions.ts";

/** How far a shard has come in the primary's log, and the latest time of a commit there. */
export interface LogPlace extends SeenPlace {
  readonly committedAtMs: number;
}

/**
 * Notices a primary that was restored, so that its log counts from below: without care each of its changes would look older than
 * what is applied, and be skipped (I4).
 *
 * Debezium appends in commit order, so a change that was committed later never comes from an earlier place of the same log. What is
 * sent again after a crash, or appended late, comes from an earlier place too, but was committed earlier.
 *
 * Place and time are each kept at their highest. A primary notes a commit's time before its place, so of two commits at once the
 * first in the log may have the later time, and its clock may be set back: the newest change's time alone would make what is sent
 * again look later than it.
 *
 * The first transaction after a snapshot does not say how far the primary had committed. It counts as committed right behind the
 * snapshot, wherever it was logged, and its time is not remembered: were it of a restored primary, the next one would tell, also if it
 * was committed in the same millisecond.
 */
export class LogOrder {
  private commitLsn: number;
  private committedAtMs: number;

  constructor(applied: Pick<LogPlace, "commitLsn" | "committedAtMs">) {
    this.commitLsn = applied.commitLsn;
    this.committedAtMs = applied.committedAtMs;
  }

  /** Takes the shard's changes in order. Throws PRIMARY_REWOUND. */
  admit(change: Pick<Change, "op" | "commitLsn" | "committedAtMs" | "table">): void {
    const { commitLsn, committedAtMs } = change;
    if (commitLsn < this.commitLsn) {
      if (committedAtMs <= this.committedAtMs) return;
      throw new SluiceError(
        "PRIMARY_REWOUND",
        `a change of ${committedAtMs - this.committedAtMs} ms later comes from ${this.commitLsn - commitLsn} bytes earlier in the log`,
        { place: { table: change.table.id } },
      );
    }
    // Changes of one transaction have one time.
    if (commitLsn > this.commitLsn || change.op === "r")
      this.committedAtMs = Math.max(committedAtMs, this.committedAtMs);
    this.commitLsn = commitLsn;
  }
}
