/** Bytes in a buffer that holds others too. */
export interface Span {
  readonly bytes: Buffer;
  readonly start: number;
  /** Behind the last one. */
  readonly end: number;
}

/** All bytes of a buffer. */
export function spanOf(bytes: Buffer): Span {
  return { bytes, start: 0, end: bytes.length };
}

/** The span as a buffer of its own, of the same bytes. Making one costs more than reading the few bytes of a row. */
export function bufferOf({ bytes, start, end }: Span): Buffer {
  return bytes.subarray(start, end);
}
