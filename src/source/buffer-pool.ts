import { placeOf, takePlace } from "../decode/kernel/memory.ts";

/** Larger ones are not kept: a reply of large rows must not make buffers large for ever. */
const largest = 4 * 2 ** 20;
const smallest = 64 * 1024;

/**
 * Buffers for replies, used again once nobody looks at their bytes any more, by whichever shard reads next: however many shards there
 * are, only those that are at work hold one.
 */
export class BufferPool {
  /** In the kernel's memory, which is there whether they are used or not; the last ones used are the first to be used again. */
  private readonly places: Buffer[] = [];
  private readonly spare: Buffer[] = [];
  private readonly most: number;

  constructor(most: number) {
    this.most = most;
  }

  /** Of about `size` bytes, with whatever is in it. */
  take(size: number): Buffer {
    const place = this.places.pop() ?? (this.most > 0 ? takePlace() : undefined);
    if (place !== undefined) return place;
    return this.spare.pop() ?? Buffer.allocUnsafeSlow(Math.min(Math.max(smallest, size), largest));
  }

  giveBack(buffer: Buffer): void {
    if (placeOf(buffer) >= 0) this.places.push(buffer);
    else if (buffer.length <= largest && this.spare.length < this.most) this.spare.push(buffer);
  }
}
