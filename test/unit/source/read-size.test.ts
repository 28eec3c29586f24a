import fc from "fast-check";
import { expect, it } from "vitest";
import { readShare, ReadSize } from "../../../src/source/read-size.ts";

const [maxEntries, targetBytes] = [1000, 8_000_000];

it("never asks for more than fits by what it has seen, nor for more than four times the last read (I9)", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 10_000_000 })), (entryBytes) => {
      const size = new ReadSize({ maxEntries, targetBytes });
      for (const bytes of entryBytes) {
        const asked = size.next;
        size.learn(asked, asked * bytes);
        expect(size.next).toBeGreaterThanOrEqual(1);
        expect(size.next).toBeLessThanOrEqual(Math.min(maxEntries, asked * 4));
        expect(size.next === 1 || size.next * bytes <= targetBytes).toBe(true);
      }
    }),
  );
});

it("what a member's shards hold together stays within 24 batches' entries and 16 batches' bytes, however many they are (I9)", () => {
  const entryBytes = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 512 }), entryBytes, (shards, seen) => {
      const size = new ReadSize({ maxEntries, targetBytes, share: () => readShare(shards) });
      for (const bytes of seen) {
        size.learn(size.next, size.next * bytes);
        // Each may ask for a part of an entry more.
        expect((size.next - 1) * shards).toBeLessThanOrEqual(24 * maxEntries);
        if (size.next > 1) expect(size.next * bytes * shards).toBeLessThanOrEqual(16 * targetBytes);
      }
    }),
  );
});

it("asks for less as soon as the member has more shards", () => {
  let shards = 16;
  const size = new ReadSize({ maxEntries, targetBytes, share: () => readShare(shards) });
  for (let read = 0; read < 10; read++) size.learn(size.next, size.next);
  expect(size.next).toBe(1000);
  shards = 64;
  expect(size.next).toBe(375);
});
