import { memberName, members } from "./json-scan.ts";

const nothing = Buffer.from("null");

/** The image with the values of the named columns replaced by null; the other bytes stay as they are. */
export function withNulls(image: Buffer, names: ReadonlySet<string>): Buffer {
  return overlay(image, (name) => (names.has(name) ? nothing : undefined));
}

/** The image with the values of the named columns taken from an earlier image of the same row. */
export function withValuesOf(image: Buffer, names: ReadonlySet<string>, earlier: Buffer): Buffer {
  const values = new Map<string, Buffer>();
  for (const member of members(earlier)) {
    const name = memberName(earlier, member);
    if (names.has(name)) values.set(name, earlier.subarray(member.valueStart, member.valueEnd));
  }
  return overlay(image, (name) => values.get(name));
}

function overlay(image: Buffer, replacement: (name: string) => Buffer | undefined): Buffer {
  const parts: Buffer[] = [];
  let copied = 0;
  for (const member of members(image)) {
    const value = replacement(memberName(image, member));
    if (value === undefined) continue;
    parts.push(image.subarray(copied, member.valueStart), value);
    copied = member.valueEnd;
  }
  parts.push(image.subarray(copied));
  return Buffer.concat(parts);
}
