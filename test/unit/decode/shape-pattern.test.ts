import fc from "fast-check";
import { expect, it } from "vitest";
import { scanShape } from "../../../src/decode/envelope.ts";
import { ShapePatterns } from "../../../src/decode/shape-pattern.ts";
import { whereabouts } from "../../support/kernel-bytes.ts";

const name = fc.oneof(
  fc.constantFrom("id", "idd", "note", 'no"te', "ä", "", ":", ","),
  fc.constantFrom(
    "longer_than_eight",
    "longer_than_seven",
    "longer_than_sixteen_bytes_1",
    "longer_than_sixteen_bytes_2",
  ),
  fc.string(),
);
const value = fc.oneof(fc.string(), fc.double(), fc.constant(null), fc.jsonValue({ maxDepth: 1 }));

/** Images of few shapes, so that most are met again. */
const images = fc
  .array(fc.uniqueArray(name, { maxLength: 4 }), { minLength: 1, maxLength: 3 })
  .chain((shapes) =>
    fc.array(fc.tuple(fc.constantFrom(...shapes), fc.array(value, { minLength: 4, maxLength: 4 })), {
      minLength: 2,
      maxLength: 12,
    }),
  );

it.each(whereabouts)(
  "gives the shape and the end that the full scan gives, met before or not, %s",
  (_, put) => {
    let again = 0;
    fc.assert(
      fc.property(images, fc.nat(40), (each, padding) => {
        const patterns = new ShapePatterns();
        const seen = new Set<number>();
        for (const [names, values] of each) {
          const json = JSON.stringify(Object.fromEntries(names.map((own, index) => [own, values[index]])));
          const bytes = put(Buffer.from(`${" ".repeat(padding)}${json},"source":{}`));
          const expected = scanShape(bytes, padding);
          patterns.scan(bytes, padding);
          expect({ shape: patterns.shape, end: patterns.end }).toEqual(expected);
          if (seen.has(expected.shape)) again++;
          seen.add(expected.shape);
        }
      }),
      { numRuns: 300 },
    );
    expect(again).toBeGreaterThan(300);
  },
);

it.each(whereabouts)("goes on right when there were more shapes than it keeps, %s", (_, put) => {
  const patterns = new ShapePatterns();
  for (let index = 0; index < 2_500; index++) {
    // The first shape comes again and again, so that learning is not given up.
    for (const names of [
      ["id", "first"],
      ["id", `c${index}`],
    ]) {
      const bytes = put(Buffer.from(JSON.stringify(Object.fromEntries(names.map((name) => [name, index])))));
      patterns.scan(bytes, 0);
      expect({ shape: patterns.shape, end: patterns.end }).toEqual(scanShape(bytes, 0));
    }
  }
});

it.each(whereabouts)("tells hundreds of shapes apart that begin alike, %s", (_, put) => {
  const patterns = new ShapePatterns();
  const lists = Array.from({ length: 400 }, (_, index) =>
    ["id", `c${index % 20}`, ...(index % 2 === 0 ? [] : ["more"]), `d${index}`].slice(0, 2 + (index % 3)),
  );
  for (const round of [1, 2, 3]) {
    for (const names of lists) {
      const bytes = put(Buffer.from(JSON.stringify(Object.fromEntries(names.map((name) => [name, round])))));
      patterns.scan(bytes, 0);
      expect({ shape: patterns.shape, end: patterns.end }).toEqual(scanShape(bytes, 0));
    }
  }
});
