/** What reading begins with. */
const fewestEntries = 16;
const largestOverrun = 4;

/** What part of a batch a read may take, above 0 and up to 1. */
export interface ReadShare {
  readonly entries: number;
  readonly bytes: number;
}

const all: ReadShare = { entries: 1, bytes: 1 };

/** So many of a member's shards read whole batches at a time; more of them share as much. Large entries are what takes memory. */
const whole: ReadShare = { entries: 24, bytes: 16 };

/** What each of a member's shards may read at a time: what they hold together must not follow their number (I9). */
export function readShare(shards: number): ReadShare {
  const among = Math.max(1, shards);
  return { entries: Math.min(1, whole.entries / among), bytes: Math.min(1, whole.bytes / among) };
}

export interface ReadLimits {
  readonly maxEntries: number;
  readonly targetBytes: number;
  /** It changes as the member's shards do. Default all. */
  readonly share?: () => ReadShare;
}

/**
 * How many entries to ask for, so that a read stays near a number of bytes (I9): Redis counts entries only, and rows may be of
 * any size. It begins small and at most quadruples, so a backlog of large rows is met with small reads.
 */
export class ReadSize {
  private readonly limits: ReadLimits;
  private entries: number;

  constructor(limits: ReadLimits) {
    this.limits = limits;
    this.entries = Math.min(fewestEntries, limits.maxEntries);
  }

  get next(): number {
    return Math.min(this.entries, Math.ceil(this.limits.maxEntries * this.share.entries));
  }

  /**
   * Entries may suddenly be much larger than those before (I9): then a read is given up, and the next session begins with few
   * entries, which are taken whatever their size.
   */
  get mostBytes(): number {
    return this.next > fewestEntries
      ? largestOverrun * this.limits.targetBytes * this.share.bytes
      : Number.POSITIVE_INFINITY;
  }

  private get share(): ReadShare {
    return this.limits.share?.() ?? all;
  }

  /** Takes in what a read gave. */
  learn(entries: number, bytes: number): void {
    if (entries === 0) return;
    const { maxEntries, targetBytes } = this.limits;
    const fitting = Math.floor((targetBytes * this.share.bytes * entries) / Math.max(bytes, 1));
    this.entries = Math.max(1, Math.min(fitting, this.entries * 4, maxEntries));
  }
}
