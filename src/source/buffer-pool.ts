import { takePlace } from "../decode/kernel.ts";

/** Larger ones are not kept: a reply of large rows must not make buffers large for ever. */
const largest = 4 * 2 ** 20;
const smallest = 64 * 1024;

/**
 * Buffers for replies, used again once nobody looks at their bytes any more, by whichever shard reads next: however many shards there
 * are, only those that are at work hold one.
 */
export class BufferPool {
  private readonly spare: Buffer[] = [];
  private readonly most: number;

  constructor(most: number) {
    this.most = most;
  }

  /** Of about `size` bytes, with whatever is in it. */
  take(size: number): Buffer {
    const spare = this.spare.pop() ?? (this.most > 0 ? takePlace() : undefined);
    return spare ?? Buffer.allocUnsafeSlow(Math.min(Math.max(smallest, size), largest));
  }

  giveBack(buffer: Buffer): void {
    if (buffer.length <= largest && this.spare.length < this.most) this.spare.push(buffer);
  }
}
