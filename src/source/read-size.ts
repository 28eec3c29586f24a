/** What reading begins with. */
export const fewestEntries = 16;

/**
 * How many entries to ask for, so that a read stays near a number of bytes (I9): Redis counts entries only, and rows may be of
 * any size. It begins small and at most doubles, so a backlog of large rows is met with small reads.
 */
export class ReadSize {
  private readonly maxEntries: number;
  private readonly targetBytes: number;
  private entries: number;

  constructor(options: { readonly maxEntries: number; readonly targetBytes: number }) {
    this.maxEntries = options.maxEntries;
    this.targetBytes = options.targetBytes;
    this.entries = Math.min(fewestEntries, options.maxEntries);
  }

  get next(): number {
    return this.entries;
  }

  /** Takes in what a read gave. */
  learn(entries: number, bytes: number): void {
    if (entries === 0) return;
    const fitting = Math.floor((this.targetBytes * entries) / Math.max(bytes, 1));
    this.entries = Math.max(1, Math.min(fitting, this.entries * 2, this.maxEntries));
  }
}
