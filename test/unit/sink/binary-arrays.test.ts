import fc from "fast-check";
import { expect, it } from "vitest";
import { bigintList, textList } from "../../../src/sink/binary-arrays.ts";

/** The elements of an array in PostgreSQL's binary form, as array_recv reads it. */
function elementsOf(bytes: Buffer, oid: number): Buffer[] {
  const [dimensions, flags, type] = [0, 4, 8].map((at) => bytes.readInt32BE(at));
  expect([flags, type]).toEqual([0, oid]);
  if (dimensions === 0) {
    expect(bytes).toHaveLength(12);
    return [];
  }
  expect([dimensions, bytes.readInt32BE(16)]).toEqual([1, 1]);
  const elements: Buffer[] = [];
  for (let at = 20; at < bytes.length;) {
    const end = at + 4 + bytes.readInt32BE(at);
    elements.push(bytes.subarray(at + 4, end));
    at = end;
  }
  expect(elements).toHaveLength(bytes.readInt32BE(12));
  return elements;
}

it("gives texts and bigints of any value as PostgreSQL reads them", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: "grapheme" })),
      fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
      (texts, numbers) => {
        expect(elementsOf(textList(texts), 25).map(String)).toEqual(texts);
        expect(elementsOf(bigintList(numbers), 20).map((each) => each.readBigInt64BE())).toEqual(numbers);
      },
    ),
  );
});
