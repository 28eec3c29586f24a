import { placeOf } from "./kernel/memory.ts";

const firstSize = 64 * 1024;
const backslash = 0x5c;

/** Rows for COPY, in either of its formats, as they grow. */
export class CopyData {
  bytes: Buffer;
  /** Of the bytes in the kernel's memory; -1: they are not in it. */
  address: number;
  length = 0;
  private readonly place: Buffer | undefined;

  /** `place`: of the kernel's memory; they leave it when they become too many. */
  constructor(place?: Buffer) {
    this.place = place;
    this.bytes = place ?? Buffer.allocUnsafeSlow(firstSize);
    this.address = placeOf(this.bytes);
  }

  clear(): void {
    if (this.place !== undefined) this.bytes = this.place;
    this.address = placeOf(this.bytes);
    this.length = 0;
  }

  /** Makes room for as many more bytes. */
  reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
    this.address = -1;
  }

  /** For which there must be room. */
  append(bytes: Buffer): void {
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** ASCII, as it is. */
  ascii(text: string): void {
    this.length += this.bytes.write(text, this.length, "latin1");
  }

  /** The digits of a number of 0 or more. */
  decimal(value: bigint): void {
    // A float is exact up to here and much cheaper to take apart.
    if (value > Number.MAX_SAFE_INTEGER) {
      this.ascii(value.toString());
      return;
    }
    let rest = Number(value);
    let digits = 1;
    for (let power = 10; rest >= power; power *= 10) digits++;
    for (let at = this.length + digits - 1; at >= this.length; at--) {
      const tenth = Math.floor(rest / 10);
      this.bytes[at] = rest - tenth * 10 + 0x30;
      rest = tenth;
    }
    this.length += digits;
  }

  /** Behind a backslash. */
  escaped(byte: number): void {
    this.bytes[this.length++] = backslash;
    this.bytes[this.length++] = byte;
  }
}
