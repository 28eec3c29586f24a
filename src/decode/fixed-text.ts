/**
 * JSON text that is compared eight bytes at a time, as floats: those are equal when their bytes are, since JSON has no zero bytes, which
 * make the two zeros, and UTF-8 none that make no number at all.
 */
export class FixedText {
  readonly bytes: Buffer;
  readonly length: number;
  /** The last one ends with the text, over bytes of the one before it. */
  private readonly words: Float64Array;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.length = bytes.length;
    this.words = Float64Array.from(
      { length: bytes.length >= 8 ? Math.ceil(bytes.length / 8) : 0 },
      (_, index) => bytes.readDoubleLE(Math.min(index * 8, bytes.length - 8)),
    );
  }

  /** Whether it stands at `from` and ends at or before `to`. `view` is of the same bytes. */
  standsAt(bytes: Buffer, view: DataView, from: number, to: number): boolean {
    const { words, length } = this;
    if (from + length > to) return false;
    const last = words.length - 1;
    if (last < 0) return this.standsShort(bytes, from);
    for (let index = 0; index < last; index++)
      if (view.getFloat64(from + index * 8, true) !== words[index]) return false;
    return view.getFloat64(from + length - 8, true) === words[last];
  }

  private standsShort(bytes: Buffer, from: number): boolean {
    const { bytes: own, length } = this;
    for (let index = 0; index < length; index++) if (bytes[from + index] !== own[index]) return false;
    return true;
  }
}

/** Fixed text around values whose places are known: all of it is compared in one loop, eight bytes at a time where it has as many. */
export class TextAround {
  private readonly wordOffsets: Int32Array;
  private readonly words: Float64Array;
  private readonly byteOffsets: Int32Array;
  private readonly bytes: Uint8Array;

  /** `text` with the places of the values, in their order. */
  constructor(text: Buffer, values: readonly { readonly start: number; readonly end: number }[]) {
    const wordOffsets: number[] = [];
    const byteOffsets: number[] = [];
    const starts = [0, ...values.map(({ end }) => end)];
    const ends = [...values.map(({ start }) => start), text.length];
    for (const [index, start] of starts.entries()) {
      const end = ends[index] ?? start;
      if (end - start < 8) for (let at = start; at < end; at++) byteOffsets.push(at);
      else for (let at = start; at < end; at += 8) wordOffsets.push(Math.min(at, end - 8));
    }
    this.wordOffsets = Int32Array.from(wordOffsets);
    this.words = Float64Array.from(wordOffsets, (at) => text.readDoubleLE(at));
    this.byteOffsets = Int32Array.from(byteOffsets);
    this.bytes = Uint8Array.from(byteOffsets, (at) => text[at] ?? 0);
  }

  /** `bytes` has as many bytes from there on. */
  standsAt(bytes: Buffer, from: number): boolean {
    const { words, wordOffsets, byteOffsets, bytes: own } = this;
    const view = viewOf(bytes);
    for (let index = 0; index < words.length; index++)
      if (view.getFloat64(from + (wordOffsets[index] ?? 0), true) !== words[index]) return false;
    for (let index = 0; index < own.length; index++)
      if (bytes[from + (byteOffsets[index] ?? 0)] !== own[index]) return false;
    return true;
  }
}

let viewed: Buffer | undefined;
let view: DataView = new DataView(new ArrayBuffer(0));

/** Made once for the entries of a read, which share a buffer. */
export function viewOf(bytes: Buffer): DataView {
  if (bytes === viewed) return view;
  viewed = bytes;
  view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view;
}
