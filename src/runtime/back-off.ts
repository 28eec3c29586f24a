/** Pauses that double from `firstMs` to `maxMs`, each shortened by up to half at random so that members do not retry at once. */
export class BackOff {
  private readonly firstMs: number;
  private readonly maxMs: number;
  private readonly random: () => number;
  private tries = 0;

  constructor(options: { readonly firstMs: number; readonly maxMs: number; readonly random?: () => number }) {
    this.firstMs = options.firstMs;
    this.maxMs = options.maxMs;
    this.random = options.random ?? Math.random;
  }

  /** Milliseconds to wait before the next try. */
  next(): number {
    const full = Math.min(this.maxMs, this.firstMs * 2 ** Math.min(this.tries, 30));
    this.tries++;
    return full * (1 - this.random() / 2);
  }

  /** Pauses since the last reset. */
  get count(): number {
    return this.tries;
  }

  reset(): void {
    this.tries = 0;
  }
}
