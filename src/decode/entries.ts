import { isPlaced, placesOfUsualEntry } from "./kernel/replies.ts";

/**
 * The entries of one read, in order, as places in the buffer that holds them all. There is no object for an entry: the collector would
 * copy it again and again as long as its batch lives. Places may lie beside the buffer, and an id is made of its bytes when somebody asks for it, so nobody may
 * ask for more than what all of them have together once the buffer was given back.
 */
export class Entries {
  readonly buffer: Buffer;
  readonly length: number;
  private readonly spans: Int32Array;
  private readonly starts: Int32Array;
  private allBytes: number | undefined = undefined;
  private last: string | undefined = undefined;

  /**
   * `spans`: start and end in the buffer of each entry's id, and of its fields' names and values, which alternate. `starts`: where
   * each entry's begin in `spans`, and where the last one's end.
   */
  constructor(buffer: Buffer, spans: Int32Array, starts: Int32Array) {
    this.buffer = buffer;
    this.length = starts.length - 1;
    this.spans = spans;
    this.starts = starts;
  }

  /** Throws RangeError when there is no such entry. */
  idOf(index: number): string {
    const at = this.starts[index];
    if (at === undefined || index >= this.length) throw new RangeError(`no entry ${index}`);
    return this.buffer.toString("latin1", this.spans[at], this.spans[at + 1]);
  }

  get lastId(): string | undefined {
    if (this.length === 0) return undefined;
    return (this.last ??= this.idOf(this.length - 1));
  }

  /** How many names and values the entry has together. */
  partsOf(index: number): number {
    return ((this.starts[index + 1] ?? 0) - (this.starts[index] ?? 0) - 2) >> 1;
  }

  /** Where the entry's name or value of that number begins in the buffer. */
  startOf(index: number, part: number): number {
    return this.spans[(this.starts[index] ?? 0) + 2 + part * 2] ?? 0;
  }

  endOf(index: number, part: number): number {
    return this.spans[(this.starts[index] ?? 0) + 3 + part * 2] ?? 0;
  }

  /** Bytes of the names and values of the entries from `from` to before `to`. */
  bytesOf(from = 0, to = this.length): number {
    if (from > 0 || to < this.length) return this.count(from, to);
    return (this.allBytes ??= this.count(0, this.length));
  }

  private count(from: number, to: number): number {
    let bytes = 0;
    for (let index = from; index < to; index++) {
      const end = this.starts[index + 1] ?? 0;
      for (let at = (this.starts[index] ?? 0) + 2; at < end; at += 2)
        bytes += (this.spans[at + 1] ?? 0) - (this.spans[at] ?? 0);
    }
    return bytes;
  }

  /** Address of the places of that entry and those behind it, if all are usual ones in the kernel's memory; else -1. */
  addressOf(index: number): number {
    const { spans } = this;
    if (!isPlaced(spans)) return -1;
    return spans.byteOffset + (this.starts[index] ?? 0) * Int32Array.BYTES_PER_ELEMENT;
  }

  slice(from: number, to = this.length): Entries {
    return new Entries(this.buffer, this.spans, this.starts.subarray(from, to + 1));
  }
}

/** As many entries as `starts` of usual ones were made for. */
let usualStarts = Int32Array.of(0);

/** Entries of an id and two fields, which is what nearly all are, by their places one behind the other. */
export function usualEntries(buffer: Buffer, places: Int32Array, count: number): Entries {
  if (count + 1 > usualStarts.length)
    usualStarts = Int32Array.from({ length: count * 2 + 1 }, (_, index) => index * placesOfUsualEntry);
  return new Entries(buffer, places, usualStarts.subarray(0, count + 1));
}

/** Takes in where entries stand, one after the other. */
export class EntryPlaces {
  private spans: Int32Array;
  private readonly starts: Int32Array;
  private length = 0;
  private entries = 0;

  constructor(entries: number) {
    this.spans = new Int32Array(entries * placesOfUsualEntry);
    this.starts = new Int32Array(entries + 1);
  }

  /** Begins an entry by its id's place. */
  begin(start: number, end: number): void {
    this.starts[this.entries++] = this.length;
    this.add(start, end);
  }

  /** The place of its next name or value. */
  add(start: number, end: number): void {
    if (this.length + 2 > this.spans.length) {
      const larger = new Int32Array(this.length * 2 + placesOfUsualEntry);
      larger.set(this.spans);
      this.spans = larger;
    }
    this.spans[this.length++] = start;
    this.spans[this.length++] = end;
  }

  /** Once all are in. */
  of(buffer: Buffer): Entries {
    this.starts[this.entries] = this.length;
    return new Entries(buffer, this.spans, this.starts);
  }
}

/** Entries of fields that are Buffers of their own; names and values alternate. */
export function entriesOf(
  entries: readonly { readonly id: string; readonly fields: readonly Buffer[] }[],
): Entries {
  const places = new EntryPlaces(entries.length);
  const parts: Buffer[] = [];
  let end = 0;
  const put = (part: Buffer): readonly [start: number, end: number] => {
    parts.push(part);
    end += part.length;
    return [end - part.length, end];
  };
  for (const { id, fields } of entries) {
    places.begin(...put(Buffer.from(id, "latin1")));
    for (const field of fields) places.add(...put(field));
  }
  return places.of(Buffer.concat(parts));
}
