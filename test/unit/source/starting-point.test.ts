import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareEntryIds } from "../../../src/change/entry-id.ts";
import { ReadSize } from "../../../src/source/read-size.ts";
import { startingPoint } from "../../../src/source/starting-point.ts";

const extent = { maxDeletedId: undefined, firstId: "5-0", lastId: "9-0", added: 9n, length: 5n };

describe("startingPoint", () => {
  it("begins before everything when nothing was ever applied, and says so when the stream was trimmed", () => {
    expect(startingPoint("s", { id: undefined, entries: 0n }, undefined).checkpoint.id).toBeUndefined();
    const trimmed = startingPoint("s", { id: undefined, entries: 0n }, extent);
    expect(trimmed.checkpoint).toEqual({ id: undefined, entries: 4n });
    expect(trimmed.warning).toContain("4 entries");
  });

  it("puts no place elsewhere when a shard whose first change failed begins once more", () => {
    for (const [entries, found] of [[0n, undefined] as const, [4n, extent] as const]) {
      const before = { id: undefined, entries };
      expect(startingPoint("s", before, found).checkpoint).toBe(before);
    }
  });

  it("goes on at the checkpoint, also when all before it was trimmed", () => {
    const checkpoint = { id: "4-0", entries: 4n };
    expect(startingPoint("s", checkpoint, extent).checkpoint).toBe(checkpoint);
    const all = { id: "9-0", entries: 9n };
    expect(startingPoint("s", all, { ...extent, firstId: undefined, length: 0n }).checkpoint).toBe(all);
  });

  it("stops with the number of entries that were lost behind the checkpoint (I8)", () => {
    expect(() => startingPoint("s", { id: "2-0", entries: 2n }, extent)).toThrow("2 entries after 2-0");
  });

  it("goes back to the start of a stream that was rolled back or made anew", () => {
    const rolledBack = startingPoint("s", { id: "12-0", entries: 12n }, extent);
    expect(rolledBack.checkpoint).toEqual({ id: "0-0", entries: 4n });
    expect(rolledBack.warning).toContain("rolled back");
    expect(startingPoint("s", { id: "12-0", entries: 12n }, undefined).checkpoint.id).toBe("0-0");
  });

  it("sees that a stream was made anew although its ids have passed the checkpoint", () => {
    const start = { id: "0-0", entries: 4n };
    // It never held as many, removed fewer than are missing before its first, or has ids around the checkpoint but not its entry.
    expect(startingPoint("s", { id: "8-0", entries: 10n }, extent).checkpoint).toEqual(start);
    expect(startingPoint("s", { id: "4-0", entries: 5n }, extent).checkpoint).toEqual(start);
    const between = { id: "6-5", entries: 6n };
    expect(startingPoint("s", between, { ...extent, checkpointPresent: false }).checkpoint).toEqual(start);
    expect(startingPoint("s", between, { ...extent, checkpointPresent: true }).checkpoint).toBe(between);
    const deleted = { ...extent, checkpointPresent: false, maxDeletedId: "6-5" };
    expect(startingPoint("s", between, deleted).checkpoint).toBe(between);
  });
});

describe("compareEntryIds", () => {
  it("orders ids as pairs of 64-bit numbers", () => {
    const id = fc.tuple(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    );
    fc.assert(
      fc.property(id, id, ([ms, seq], [otherMs, otherSeq]) => {
        const expected = ms === otherMs ? seq - otherSeq : ms - otherMs;
        const actual = compareEntryIds(`${ms}-${seq}`, `${otherMs}-${otherSeq}`);
        expect(Math.sign(actual)).toBe(expected === 0n ? 0 : expected < 0n ? -1 : 1);
      }),
    );
  });
});

describe("ReadSize", () => {
  it("never asks for more than fits by what it has seen, nor for more than twice the last read (I9)", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 10_000_000 })), (entryBytes) => {
        const size = new ReadSize({ maxEntries: 1000, targetBytes: 8_000_000 });
        for (const bytes of entryBytes) {
          const asked = size.next;
          size.learn(asked, asked * bytes);
          expect(size.next).toBeGreaterThanOrEqual(1);
          expect(size.next).toBeLessThanOrEqual(Math.min(1000, asked * 2));
          expect(size.next === 1 || size.next * bytes <= 8_000_000).toBe(true);
        }
      }),
    );
  });
});
