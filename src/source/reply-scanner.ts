import {
  numbersOfUsualEntry,
  placeEntries,
  scan,
  scanReply,
  tokensBeside,
} from "../decode/kernel/replies.ts";

/** Kinds of tokens; what `first` and `second` are stands beside each. */
export const replyKind = {
  /** `first`…`second` is its place in the bytes. */
  bulk: 0,
  /** A status or an error: its text's place. */
  status: 1,
  error: 2,
  /** `first` is its value. */
  integer: 3,
  /** `first` elements follow; -1: there is none, which is also what a missing bulk is. */
  array: 4,
} as const;

const lineFeed = 0x0a;
const firstSize = 64 * 1024;
const firstTokens = 1024;

/**
 * Replies of Redis (RESP2) as they arrive, kept as bytes with the places of their elements: nothing is built for an element, so
 * an entry costs a tenth of what a tree of Buffers costs. Holds the replies of one exchange.
 */
export class ReplyScanner {
  /** Kind, first, second of each element, in the order of the wire. */
  tokens: Float64Array;
  private tokenCount = 0;
  private buffer: Buffer;
  private length = 0;
  private at = 0;
  /** Elements that are still to come. */
  private missing: number;
  /** Buffer and tokens are in the kernel's memory, which then takes in what is usual. */
  private placed: boolean;

  /**
   * Buffer and tokens are written to, and replaced by larger ones when they are too small. A buffer of the kernel's memory has room for tokens
   * beside it, which is used instead.
   */
  constructor(
    replies: number,
    buffer: Buffer = Buffer.allocUnsafeSlow(firstSize),
    tokens: Float64Array = new Float64Array(firstTokens),
  ) {
    this.missing = replies;
    this.buffer = buffer;
    const beside = tokensBeside(buffer);
    this.placed = beside !== undefined;
    this.tokens = beside ?? tokens;
  }

  /** Its tokens can be given to another scanner once nobody reads them any more. */
  get ownsTokens(): boolean {
    return !this.placed;
  }

  get bytes(): Buffer {
    return this.buffer;
  }

  /** Takes in what arrived; true once every reply is there. Throws when it is not RESP2. */
  push(chunk: Buffer): boolean {
    this.makeRoom(chunk.length);
    chunk.copy(this.buffer, this.length);
    return this.filled(chunk.length);
  }

  /** Where the next bytes can be written, which `filled` then tells of. */
  room(): Buffer {
    if (this.length === this.buffer.length) this.makeRoom(1);
    return this.buffer.subarray(this.length);
  }

  /** As `push`, for so many bytes at the beginning of the room. */
  filled(bytes: number): boolean {
    this.length += bytes;
    while (this.missing > 0 && this.at < this.length) {
      if (this.placed) this.scanUsual();
      if (this.missing === 0 || !this.scanElement()) break;
    }
    return this.missing === 0;
  }

  private scanUsual(): void {
    const { buffer, at, length, missing, tokens, tokenCount } = this;
    scanReply({ buffer, from: at, end: length, missing, tokens, known: tokenCount });
    this.at = scan.at;
    this.tokenCount = scan.known;
    this.missing = scan.missing;
  }

  /** Bytes used, as a hint for the next. */
  get size(): number {
    return this.length;
  }

  private makeRoom(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
    // The place is somebody else's as soon as nobody holds its buffer.
    if (this.placed) this.tokens = this.tokens.slice();
    this.placed = false;
  }

  /** False when the element has not wholly arrived. */
  private scanElement(): boolean {
    const { buffer, at } = this;
    const kind = buffer[at];
    const end = this.lineEnd(at + 1);
    if (end < 0) return false;
    if (kind === 0x2b || kind === 0x2d) {
      this.add(kind === 0x2d ? replyKind.error : replyKind.status, at + 1, end);
      this.at = end + 2;
      return true;
    }
    const number = integerAt(buffer, at + 1, end);
    if (kind === 0x24 && number >= 0) {
      const start = end + 2;
      if (start + number + 2 > this.length) return false;
      this.add(replyKind.bulk, start, start + number);
      this.at = start + number + 2;
      return true;
    }
    if (kind === 0x3a) this.add(replyKind.integer, number, 0);
    else if (kind === 0x2a || kind === 0x24) {
      this.add(replyKind.array, number, 0);
      if (number > 0) this.missing += number;
    } else throw new TypeError(`not a reply of Redis: byte ${kind}`);
    this.at = end + 2;
    return true;
  }

  private add(kind: number, first: number, second: number): void {
    let { tokens } = this;
    const at = this.tokenCount;
    if (at + 3 > tokens.length) {
      tokens = new Float64Array(tokens.length * 2);
      tokens.set(this.tokens);
      this.tokens = tokens;
      this.placed = false;
    }
    tokens[at] = kind;
    tokens[at + 1] = first;
    tokens[at + 2] = second;
    this.tokenCount = at + 3;
    this.missing--;
  }

  /** Where the line's CR stands, or -1. */
  private lineEnd(from: number): number {
    const { buffer, length } = this;
    for (let at = from; at < length; at++) if (buffer[at] === lineFeed) return at - 1;
    return -1;
  }
}

function integerAt(bytes: Buffer, from: number, to: number): number {
  const negative = bytes[from] === 0x2d;
  let number = 0;
  for (let at = negative ? from + 1 : from; at < to; at++) number = number * 10 + ((bytes[at] ?? 0) - 0x30);
  return negative ? -number : number;
}

/** Walks a scanner's tokens. Each method throws TypeError when the next element is of another kind. */
export class ReplyCursor {
  private readonly tokens: Float64Array;
  readonly bytes: Buffer;
  private at = 0;
  /** Of the bulk that `bulk` was called for. */
  start = 0;
  end = 0;

  constructor(scanner: ReplyScanner) {
    this.tokens = scanner.tokens;
    this.bytes = scanner.bytes;
  }

  /** The text of an error reply if one is next; passes over it. */
  error(): string | undefined {
    if (this.tokens[this.at] !== replyKind.error) return undefined;
    return this.text();
  }

  /** Passes over one element that is no array of others. */
  skip(): void {
    if (this.tokens[this.at] === replyKind.array && (this.tokens[this.at + 1] ?? 0) > 0) throw unexpected();
    this.at += 3;
  }

  /** Passes over one element with all that is in it. */
  skipNested(): void {
    for (let left = 1; left > 0; left--) {
      if (this.tokens[this.at] === replyKind.array) left += Math.max(0, this.tokens[this.at + 1] ?? 0);
      this.at += 3;
    }
  }

  /** One element with all that is in it; texts become strings. */
  value(): unknown {
    const kind = this.tokens[this.at];
    if (kind === replyKind.integer) return this.integer();
    if (kind !== replyKind.array) return this.text();
    const count = this.array();
    return count < 0 ? undefined : Array.from({ length: count }, () => this.value());
  }

  /** How many elements follow; -1: no array. */
  array(): number {
    return this.number(replyKind.array);
  }

  integer(): number {
    return this.number(replyKind.integer);
  }

  /** Passes over so many entries if all are usual ones, and says where they stand: see `placeEntries`. */
  usualEntries(count: number): Int32Array | undefined {
    const places = placeEntries(this.bytes, this.tokens, this.at, count);
    if (places !== undefined) this.at += count * numbersOfUsualEntry;
    return places;
  }

  bulk(): void {
    if (this.tokens[this.at] !== replyKind.bulk) throw unexpected();
    this.start = this.tokens[this.at + 1] ?? 0;
    this.end = this.tokens[this.at + 2] ?? 0;
    this.at += 3;
  }

  /** A bulk, status or error as text; undefined for a missing one. */
  text(): string | undefined {
    const kind = this.tokens[this.at];
    if (kind === replyKind.array && this.array() === -1) return undefined;
    if (kind === replyKind.array || kind === replyKind.integer || kind === undefined) throw unexpected();
    const [start, end] = [this.tokens[this.at + 1], this.tokens[this.at + 2]];
    this.at += 3;
    return this.bytes.toString("utf8", start, end);
  }

  private number(kind: number): number {
    if (this.tokens[this.at] !== kind) throw unexpected();
    const value = this.tokens[this.at + 1] ?? 0;
    this.at += 3;
    return value;
  }
}

function unexpected(): TypeError {
  return new TypeError("Redis gave a reply of another shape");
}
