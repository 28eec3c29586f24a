/** One stream entry as it was read. */
export interface Entry {
  readonly id: string;
  /** Holds the entry's names and values, perhaps among those of others. */
  readonly buffer: Buffer;
  /** Start and end in `buffer` of each field's name and value, which alternate. */
  readonly spans: readonly number[];
  /** Of all names and values together. */
  readonly bytes: number;
}

/** An entry of fields that are Buffers of their own; names and values alternate. */
export function entryOf(id: string, fields: readonly Buffer[]): Entry {
  const spans: number[] = [];
  let end = 0;
  for (const field of fields) {
    spans.push(end, end + field.length);
    end += field.length;
  }
  return { id, buffer: Buffer.concat(fields), spans, bytes: end };
}
