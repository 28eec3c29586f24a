import { skipSpace, skipString } from "./json-scan.ts";

const quote = 0x22;
const colon = 0x3a;

/** Bytes from the end of one member's value to the next one's: comma, quotes, name and colon, if no white space stands between. */
export function gapsOf(names: readonly string[]): readonly number[] {
  return names.map((name) => Buffer.byteLength(JSON.stringify(name)) + 2);
}

/** Where the value behind the gap begins; names are not compared, since the image's shape is known. */
export function valueAfter(image: Buffer, at: number, gap: number): number {
  const from = at + gap;
  if (image[from - 1] === colon && image[from - 2] === quote) return from;
  const name = skipSpace(image, skipSpace(image, at) + 1);
  return skipSpace(image, skipSpace(image, skipString(image, name)) + 1);
}
