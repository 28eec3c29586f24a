import fc from "fast-check";
import { expect, it } from "vitest";
import { gapsOf } from "../../../src/decode/member-gaps.ts";
import { spanOf } from "../../../src/decode/span.ts";
import { TextArrays } from "../../../src/decode/text-arrays.ts";

/** PostgreSQL's binary form of an array, as its documentation and array_recv have it. */
function readArray(bytes: Buffer): (string | null)[] {
  const int = (at: number): number => bytes.readInt32BE(at);
  const [dimensions, flags, oid, count, lower] = [int(0), int(4), int(8), int(12), int(16)];
  expect([dimensions, oid, lower]).toEqual([1, 25, 1]);
  const elements: (string | null)[] = [];
  let at = 20;
  while (at < bytes.length) {
    const length = int(at);
    elements.push(length < 0 ? null : bytes.toString("utf8", at + 4, at + 4 + length));
    at += 4 + Math.max(0, length);
  }
  expect(elements).toHaveLength(count);
  expect(flags).toBe(elements.includes(null) ? 1 : 0);
  return elements;
}

const scalar = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ minLength: 60, maxLength: 80 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
  fc.jsonValue({ maxDepth: 2 }),
);

/** As json_to_recordset gives a text column. */
function asText(value: unknown): string | null {
  if (value === null) return null;
  return typeof value === "string" ? value : JSON.stringify(value);
}

it("gives each column's values as text, whatever they are, and leaves out the members that are none", () => {
  const rows = fc
    .uniqueArray(fc.string(), { minLength: 1, maxLength: 4 })
    .chain((names) =>
      fc.tuple(
        fc.constant(names),
        fc.array(fc.array(scalar, { minLength: names.length, maxLength: names.length }), {
          minLength: 1,
          maxLength: 40,
        }),
        fc.array(fc.boolean(), { minLength: names.length, maxLength: names.length }),
      ),
    )
    // JavaScript orders members whose names are numbers, and hides one.
    .filter(([names]) => !names.some((name) => /^\d+$/.test(name) || name === "__proto__"));
  fc.assert(
    fc.property(rows, ([names, values, taken]) => {
      const images = values.map((row) =>
        Buffer.from(JSON.stringify(Object.fromEntries(names.map((name, index) => [name, row[index]])))),
      );
      const columns = names.flatMap((_, index) =>
        taken[index] === true ? [values.map((row) => asText(row[index]))] : [],
      );
      const arrays = new TextArrays().of(images.map(spanOf), { taken, gaps: gapsOf(names) });
      const strings = values.map((row) => row.filter((_, index) => taken[index] === true));
      const hasZero = strings.flat().some((value) => typeof value === "string" && value.includes("\0"));
      if (hasZero) expect(arrays).toBeUndefined();
      else expect(arrays?.map(readArray)).toEqual(columns);
    }),
    { numRuns: 500 },
  );
});

it("refuses a string that has half of a surrogate pair", () => {
  const images = [Buffer.from('{"a":"\\ud83d"}')];
  expect(new TextArrays().of(images.map(spanOf), { taken: [true], gaps: gapsOf(["a"]) })).toBeUndefined();
});
