/** Bytes that are compared four at a time. */
export class FixedText {
  readonly bytes: Buffer;
  readonly length: number;
  private readonly words: Int32Array;
  private readonly rest: Uint8Array;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.length = bytes.length;
    this.words = Int32Array.from({ length: bytes.length >> 2 }, (_, index) => bytes.readInt32LE(index * 4));
    this.rest = Uint8Array.from(bytes.subarray(this.words.length * 4));
  }

  /** Whether it stands at `from` and ends at or before `to`. `view` is of the same bytes. */
  standsAt(bytes: Buffer, view: DataView, from: number, to: number): boolean {
    const { words, rest } = this;
    if (from + this.length > to) return false;
    let at = from;
    for (let index = 0; index < words.length; index++, at += 4)
      if (view.getInt32(at, true) !== words[index]) return false;
    for (let index = 0; index < rest.length; index++, at++) if (bytes[at] !== rest[index]) return false;
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
