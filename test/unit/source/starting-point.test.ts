import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareEntryIds } from "../../../src/change/entry-id.ts";
import { startingPoint } from "../../../src/source/starting-point.ts";
import type { StreamExtent } from "../../../src/source/stream-extent.ts";

const extent = { maxDeletedId: undefined, firstId: "5-0", lastId: "9-0", added: 9n, length: 5n };
const empty = { ...extent, firstId: undefined, length: 0n };
const whole = { ...extent, firstId: "1-0", length: 9n };

function begin(
  id: string | undefined,
  entries: bigint,
  of: StreamExtent | undefined,
  seen?: { readonly lastId: string; readonly added: bigint },
) {
  return startingPoint({ checkpoint: { id, entries }, extent: of, seen });
}

describe("startingPoint", () => {
  it("begins before everything when nothing was ever applied", () => {
    const continued = { kind: "continue", checkpoint: { id: undefined, entries: 0n } };
    expect(begin(undefined, 0n, undefined)).toEqual(continued);
    expect(begin(undefined, 0n, whole)).toEqual(continued);
  });

  it("stops before the first start when the stream was trimmed, until that is accepted (I8)", () => {
    const goOnFrom = { id: undefined, entries: 4n };
    expect(begin(undefined, 0n, extent)).toMatchObject({ kind: "gap", lost: 4n, goOnFrom });
    expect(begin(undefined, 4n, extent)).toEqual({ kind: "continue", checkpoint: goOnFrom });
  });

  it("puts no place elsewhere when a shard whose first change failed begins once more", () => {
    for (const [entries, found] of [[0n, undefined] as const, [4n, extent] as const]) {
      const before = { id: undefined, entries };
      const facts = { checkpoint: before, extent: found, seen: undefined };
      expect(startingPoint(facts)).toEqual({ kind: "continue", checkpoint: before });
      expect((startingPoint(facts) as { readonly checkpoint: object }).checkpoint).toBe(before);
    }
  });

  it("goes on at the checkpoint, also when all before it was trimmed", () => {
    for (const [id, entries, of] of [
      ["4-0", 4n, extent],
      ["9-0", 9n, empty],
    ] as const)
      expect(begin(id, entries, of)).toEqual({ kind: "continue", checkpoint: { id, entries } });
  });

  it("stops with the number of entries that were lost behind the checkpoint (I8)", () => {
    const gap = { kind: "gap", lost: 2n, goOnFrom: { id: "2-0", entries: 4n } };
    expect(begin("2-0", 2n, extent)).toMatchObject(gap);
    expect(begin("2-0", 4n, extent).kind).toBe("continue");
  });

  it("goes back to the start of a stream that was rolled back, was made anew whole, or has gone", () => {
    expect(begin("12-0", 12n, extent)).toMatchObject({
      kind: "anew",
      checkpoint: { id: "0-0", entries: 4n },
    });
    const start = { kind: "anew", checkpoint: { id: "0-0", entries: 0n } };
    expect(begin("12-0", 12n, undefined)).toMatchObject(start);
    expect(begin("12-0", 12n, undefined, { lastId: "12-0", added: 12n })).toMatchObject(start);
    // It has passed the checkpoint, but not held as many; or has ids around it but not its entry.
    expect(begin("8-0", 10n, whole)).toMatchObject(start);
    expect(begin("0-5", 5n, whole)).toMatchObject(start);
    const between = { ...extent, checkpointPresent: false };
    expect(begin("6-5", 6n, between)).toMatchObject({ kind: "anew" });
    expect(begin("6-5", 6n, { ...extent, checkpointPresent: true }).kind).toBe("continue");
    expect(begin("6-5", 6n, { ...between, maxDeletedId: "6-5" }).kind).toBe("continue");
  });

  it("stops when entries that were seen after the checkpoint went with what the stream was (I8)", () => {
    const seen = { lastId: "20-0", added: 15n };
    for (const of of [undefined, extent])
      expect(begin("12-0", 12n, of, seen)).toMatchObject({ kind: "gap", lost: 3n, goOnFrom: { id: "0-0" } });
    // Rolled back to behind the checkpoint: it goes on there.
    expect(begin("9-0", 9n, extent, seen)).toMatchObject({
      ...{ kind: "gap", lost: 6n, goOnFrom: { id: "9-0", entries: 9n } },
    });
    // What was added since has passed it, but it is not there.
    const passed = { ...extent, lastId: "25-0", added: 20n, length: 16n };
    const lost = { kind: "gap", lost: undefined, goOnFrom: { id: "9-0" } };
    expect(begin("9-0", 9n, { ...passed, seenPresent: false }, seen)).toMatchObject(lost);
    expect(begin("9-0", 9n, { ...passed, seenPresent: true }, seen).kind).toBe("continue");
    const deleted = { ...passed, seenPresent: false, maxDeletedId: "20-0" };
    expect(begin("9-0", 9n, deleted, seen).kind).toBe("continue");
    expect(begin(undefined, 0n, undefined, seen)).toMatchObject({ kind: "gap", lost: 15n });
  });

  it("stops when a stream that was made anew was trimmed before it was applied (I8)", () => {
    const goOnFrom = { id: "0-0", entries: 4n };
    expect(begin("4-0", 5n, extent)).toMatchObject({ kind: "gap", lost: undefined, goOnFrom });
    expect(begin("12-0", 3n, extent)).toMatchObject({ kind: "gap", goOnFrom });
    // Once accepted it goes on.
    expect(begin("0-0", 4n, extent)).toMatchObject({ kind: "continue" });
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
