const textOid = 25;
const bigintOid = 20;
const headerBytes = 20;
const emptyBytes = 12;

/** A text[] in PostgreSQL's binary form. */
export function textList(values: readonly string[]): Buffer {
  let most = headerBytes;
  for (const value of values) most += 4 + value.length * 3;
  const bytes = Buffer.allocUnsafe(most);
  let at = header(bytes, textOid, values.length);
  for (const value of values) {
    const length = bytes.write(value, at + 4, "utf8");
    bytes.writeInt32BE(length, at);
    at += 4 + length;
  }
  return bytes.subarray(0, at);
}

/** A bigint[] likewise. */
export function bigintList(values: readonly bigint[]): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes + values.length * 12);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = header(bytes, bigintOid, values.length);
  for (const value of values) {
    view.setInt32(at, 8);
    view.setBigInt64(at + 4, value);
    at += 12;
  }
  return bytes.subarray(0, at);
}

/** Dimensions, whether there are nulls, the elements' type, how many there are, and the number of the first. Returns where the elements begin. */
function header(bytes: Buffer, oid: number, count: number): number {
  const fields = count === 0 ? [0, 0, oid] : [1, 0, oid, count, 1];
  for (const [index, field] of fields.entries()) bytes.writeInt32BE(field, index * 4);
  return count === 0 ? emptyBytes : headerBytes;
}
