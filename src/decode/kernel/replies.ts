import { entriesBytes, kernel, memory, placeOf, replyBytes, tokensBytes, type Kernel } from "./memory.ts";

/** The room beside a buffer that `takePlace` gave for the tokens of a reply in it; undefined: it is another one. */
export function tokensBeside(buffer: Buffer): Float64Array | undefined {
  const at = placeOf(buffer);
  if (at < 0 || buffer.length !== replyBytes) return undefined;
  return new Float64Array(memory, at + replyBytes, tokensBytes / Float64Array.BYTES_PER_ELEMENT);
}

/** What there is to scan, and what is known of it already. */
export interface ReplyBytes {
  readonly buffer: Buffer;
  readonly from: number;
  readonly end: number;
  /** Elements that are to come. */
  readonly missing: number;
  /** In the kernel's memory, as the buffer is. */
  readonly tokens: Float64Array;
  /** How many numbers are in it. */
  readonly known: number;
}

/** How far it came. */
export const scan = { at: 0, known: 0, missing: 0 };

const numbersOfToken = 3;

/** Takes in the elements that it knows, up to the first one that it does not; `scan` says how far it came. */
export function scanReply({ buffer, from, end, missing, tokens, known }: ReplyBytes): void {
  const { scanReply: run, scannedElements, missingElements } = kernel as Kernel;
  const base = buffer.byteOffset;
  const first = tokens.byteOffset + known * Float64Array.BYTES_PER_ELEMENT;
  const room = Math.floor((tokens.length - known) / numbersOfToken);
  scan.at = run(base + from, base + end, base, missing, first, room) - base;
  scan.known = known + scannedElements() * numbersOfToken;
  scan.missing = missingElements();
}

/** Whether `placeEntries` gave them. */
export function isPlaced(places: Int32Array): boolean {
  return kernel !== undefined && places.buffer === memory;
}

/** Numbers in the tokens of an entry of an id and two fields, and in its places. */
export const numbersOfUsualEntry = 7 * numbersOfToken;
export const placesOfUsualEntry = 10;

/**
 * The places of so many entries of two fields, whose tokens begin at that index, beside the buffer that they stand in; undefined where not all
 * are of two, or there is no room.
 */
export function placeEntries(
  buffer: Buffer,
  tokens: Float64Array,
  from: number,
  count: number,
): Int32Array | undefined {
  const bytes = count * placesOfUsualEntry * Int32Array.BYTES_PER_ELEMENT;
  if (kernel === undefined || tokens.buffer !== memory || bytes > entriesBytes) return undefined;
  if (from + count * numbersOfUsualEntry > tokens.length) return undefined;
  const at = buffer.byteOffset + replyBytes + tokensBytes;
  const first = tokens.byteOffset + from * Float64Array.BYTES_PER_ELEMENT;
  if (kernel.placeEntries(first, count, at) === 0) return undefined;
  return new Int32Array(memory, at, count * placesOfUsualEntry);
}
