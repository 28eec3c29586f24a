const textOid = 25;
const headerBytes = 20;

/** A text[] in PostgreSQL's binary form. */
export function textList(values: readonly string[]): Buffer {
  let most = headerBytes;
  for (const value of values) most += 4 + value.length * 3;
  const bytes = Buffer.allocUnsafe(most);
  let at = 0;
  // Dimensions, whether there are nulls, the elements' type, how many there are, and the number of the first.
  for (const field of [values.length === 0 ? 0 : 1, 0, textOid, values.length, 1])
    at = bytes.writeInt32BE(field, at);
  for (const value of values) {
    const length = bytes.write(value, at + 4, "utf8");
    bytes.writeInt32BE(length, at);
    at += 4 + length;
  }
  return bytes.subarray(0, values.length === 0 ? 12 : at);
}
