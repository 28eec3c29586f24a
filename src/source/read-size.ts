/** What reading begins with. */
const fewestEntries = 16;
const largestOverrun = 4;

/** So many shards of a member read whole batches at a time; more of them share as much. */
const wholeReads = 16;

/** What part of a batch each of a member's shards may read at a time: what they hold together must not follow their number (I9). */
export function readShare(shards: number): number {
  return Math.min(1, wholeReads / Math.max(1, shards));
}

export interface ReadLimits {
  readonly maxEntries: number;
  readonly targetBytes: number;
  /** What part of them one read may take, above 0 and up to 1; it changes as the member's shards do. Default all. */
  readonly share?: () => number;
}

/**
 * How many entries to ask for, so that a read stays near a number of bytes (I9): Redis counts entries only, and rows may be of
 * any size. It begins small and at most doubles, so a backlog of large rows is met with small reads.
 */
export class ReadSize {
  private readonly limits: ReadLimits;
  private entries: number;

  constructor(limits: ReadLimits) {
    this.limits = limits;
    this.entries = Math.min(fewestEntries, limits.maxEntries);
  }

  get next(): number {
    return Math.min(this.entries, Math.ceil(this.limits.maxEntries * this.share));
  }

  /**
   * Entries may suddenly be much larger than those before (I9): then a read is given up, and the next session begins with few
   * entries, which are taken whatever their size.
   */
  get mostBytes(): number {
    return this.next > fewestEntries
      ? largestOverrun * this.limits.targetBytes * this.share
      : Number.POSITIVE_INFINITY;
  }

  private get share(): number {
    return this.limits.share?.() ?? 1;
  }

  /** Takes in what a read gave. */
  learn(entries: number, bytes: number): void {
    if (entries === 0) return;
    const { maxEntries, targetBytes } = this.limits;
    const fitting = Math.floor((targetBytes * this.share * entries) / Math.max(bytes, 1));
    this.entries = Math.max(1, Math.min(fitting, this.entries * 2, maxEntries));
  }
}
