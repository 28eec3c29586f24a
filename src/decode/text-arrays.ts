import { skipValue } from "./json-scan.ts";
import { valueAfter } from "./member-gaps.ts";
import type { Span } from "./span.ts";

/** How columns are made of images: by their members, in their order. */
export interface ColumnsPlan {
  /** Whether the member is one of the columns. */
  readonly taken: readonly boolean[];
  /** As `gapsOf` gives them. */
  readonly gaps: readonly number[];
}

const quote = 0x22;
const backslash = 0x5c;
const nullStart = 0x6e;
const unicode = 0x75;
/** What stands behind a backslash and is not itself. */
const controls: Readonly<Record<number, number>> = { 0x62: 8, 0x66: 12, 0x6e: 10, 0x72: 13, 0x74: 9 };
const firstSize = 4 * 1024;
/** A larger one is not kept: a batch of large values must not make it large for ever. */
const largestKept = 256 * 1024;

/**
 * The values of each column as a text[] in PostgreSQL's binary form: strings unescaped, everything else as it stands, which is what
 * reading them from JSON as text gives. One for each statement that is at work; its buffers serve the next one.
 */
export class TextArrays {
  private readonly arrays: TextArray[] = [];

  /** Undefined when a string is no text for PostgreSQL, which then says so by itself. Written over by the next call. */
  of(images: readonly Span[], { taken, gaps }: ColumnsPlan): readonly Buffer[] | undefined {
    const arrays = taken.map((is, index) => (is ? this.emptied(index) : undefined));
    for (const { bytes, start } of images) {
      let at = start;
      for (let index = 0; index < arrays.length; index++) {
        const from = valueAfter(bytes, at, gaps[index] ?? 0);
        const array = arrays[index];
        at = array === undefined ? skipValue(bytes, from) : array.append(bytes, from);
        if (at < 0) return undefined;
      }
    }
    return arrays.flatMap((array) => array?.finish() ?? []);
  }

  private emptied(index: number): TextArray {
    const array = (this.arrays[index] ??= new TextArray());
    array.clear();
    return array;
  }
}

const headerBytes = 20;
const textOid = 25;

class TextArray {
  private bytes: Buffer = Buffer.allocUnsafeSlow(firstSize);
  private length = headerBytes;
  private count = 0;
  private hasNull = false;

  clear(): void {
    if (this.bytes.length > largestKept) this.bytes = Buffer.allocUnsafeSlow(firstSize);
    this.length = headerBytes;
    this.count = 0;
    this.hasNull = false;
  }

  /** The offset behind the value, or -1. */
  append(image: Buffer, from: number): number {
    this.count++;
    const first = image[from];
    if (first === quote) return this.appendString(image, from + 1);
    const end = skipValue(image, from);
    if (first === nullStart) {
      this.reserve(4);
      this.writeInt(-1);
      this.hasNull = true;
      return end;
    }
    this.reserve(4 + end - from);
    this.writeInt(end - from);
    this.copy(image, from, end);
    return end;
  }

  finish(): Buffer {
    const { length } = this;
    this.length = 0;
    for (const field of [1, this.hasNull ? 1 : 0, textOid, this.count, 1]) this.writeInt(field);
    return this.bytes.subarray(0, length);
  }

  private appendString(image: Buffer, from: number): number {
    // Found in two steps: the length stands before the text.
    let end = from;
    let isEscaped = false;
    for (let byte = image[end]; byte !== quote; byte = image[end]) {
      if (byte === undefined) return -1;
      if (byte === backslash) {
        isEscaped = true;
        end++;
      }
      end++;
    }
    this.reserve(4 + end - from);
    if (isEscaped) return this.appendEscaped(image, from, end);
    this.writeInt(end - from);
    this.copy(image, from, end);
    return end + 1;
  }

  private appendEscaped(image: Buffer, from: number, end: number): number {
    const { bytes } = this;
    const begun = this.length;
    let length = begun + 4;
    for (let at = from; at < end; at++) {
      const byte = image[at] ?? 0;
      if (byte !== backslash) {
        bytes[length++] = byte;
        continue;
      }
      const escape = image[++at] ?? 0;
      if (escape === unicode) return this.appendParsed(image, from, end);
      // JSON inside a string is full of quotes.
      bytes[length++] = escape === quote ? quote : (controls[escape] ?? escape);
    }
    this.writeInt(length - begun - 4);
    this.length = length;
    return end + 1;
  }

  /** With code points as hexadecimal digits, which are rare. */
  private appendParsed(image: Buffer, from: number, end: number): number {
    const text = JSON.parse(image.toString("utf8", from - 1, end + 1)) as string;
    // A zero, and half of a surrogate pair, which would become another character on the way.
    if (text.includes("\0") || !text.isWellFormed()) return -1;
    this.writeInt(Buffer.byteLength(text));
    this.length += this.bytes.write(text, this.length);
    return end + 1;
  }

  private copy(image: Buffer, from: number, end: number): void {
    const { bytes } = this;
    if (end - from > 64) {
      image.copy(bytes, this.length, from, end);
      this.length += end - from;
      return;
    }
    // Cheaper than the call for what is short.
    let { length } = this;
    for (let at = from; at < end; at++) bytes[length++] = image[at] ?? 0;
    this.length = length;
  }

  private writeInt(value: number): void {
    const { bytes } = this;
    bytes[this.length++] = value >>> 24;
    bytes[this.length++] = value >>> 16;
    bytes[this.length++] = value >>> 8;
    bytes[this.length++] = value;
  }

  private reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}
