import fc from "fast-check";
import { expect, it } from "vitest";
import { sortByKey } from "../../../src/sink/key-order.ts";

interface Keyed {
  readonly name: number;
  readonly change: { readonly bytes: Buffer; readonly keyStart: number; readonly keyEnd: number };
}

/** Somewhere in a buffer, as keys are. */
function keyed(key: string | undefined, name: number): Keyed {
  if (key === undefined) return { name, change: { bytes: Buffer.from("no key"), keyStart: -1, keyEnd: -1 } };
  const before = "x".repeat(name % 5);
  const bytes = Buffer.from(`${before}${key}"behind it"`);
  const keyStart = before.length;
  return { name, change: { bytes, keyStart, keyEnd: keyStart + Buffer.byteLength(key) } };
}

function textOf({ change }: Keyed): string {
  return change.bytes.toString("utf8", Math.max(0, change.keyStart), Math.max(0, change.keyEnd));
}

/** Keys that differ early, late or not at all, of lengths that differ. */
const key = fc.oneof(
  fc.integer({ min: 0, max: 2_000_000 }).map((id) => `{"id":${id}}`),
  fc.stringMatching(/^[ab]{0,12}$/).map((code) => `{"code":"the same for a long way ${code}"}`),
  fc.string({ unit: "grapheme", maxLength: 4 }).map((name) => JSON.stringify({ name })),
  fc.constant(undefined),
);

it("sorts by the keys' bytes, those of one key in their order", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(key, { maxLength: 300 }),
        fc.array(
          fc.integer({ min: 1_000_000, max: 1_000_600 }).map((id) => `{"id":${id}}`),
          { maxLength: 300 },
        ),
      ),
      (keys) => {
        const work = keys.map(keyed);
        const expected = [...work].sort((left, right) =>
          Buffer.compare(Buffer.from(textOf(left)), Buffer.from(textOf(right))),
        );
        sortByKey(work);
        expect(work.map(({ name }) => name)).toEqual(expected.map(({ name }) => name));
      },
    ),
  );
});

it("sorts more than a few thousand", () => {
  const work = Array.from({ length: 20_000 }, (_, index) =>
    keyed(`{"id":${(index * 7919) % 10_007}}`, index),
  );
  const expected = [...work].sort((left, right) =>
    Buffer.compare(Buffer.from(textOf(left)), Buffer.from(textOf(right))),
  );
  sortByKey(work);
  expect(work.map(({ name }) => name)).toEqual(expected.map(({ name }) => name));
});
