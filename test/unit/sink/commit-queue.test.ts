import fc from "fast-check";
import { expect, it } from "vitest";
import { CommitQueue, type Waiting } from "../../../src/sink/commit-queue.ts";

const limits = { mostEntries: 3_000, mostBytes: 1e6 };

interface Batch extends Waiting {
  readonly name: string;
}

function batch(name: string, entries: number, appendedAtMs: number, more: Partial<Waiting> = {}): Batch {
  return { name, request: { entries, bytes: entries * 100, appendedAtMs }, since: 0, alone: false, ...more };
}

function queueOf(...batches: readonly Batch[]): CommitQueue<Batch> {
  const queue = new CommitQueue<Batch>();
  for (const each of batches) queue.add(each);
  return queue;
}

const namesOf = (batches: readonly Batch[]): string[] => batches.map(({ name }) => name);

it("the shard that is furthest behind goes first, whatever the order in which they came", () => {
  const queue = queueOf(
    batch("ahead", 1_500, 300),
    batch("behind", 1_500, 100),
    batch("between", 1_500, 200),
  );
  expect(namesOf(queue.take(limits, 0))).toEqual(["behind", "between"]);
  expect(namesOf(queue.take(limits, 0))).toEqual(["ahead"]);
  expect(queue.first).toBeUndefined();
});

it("small batches, of shards that keep up, do not wait for shards that are behind", () => {
  const queue = queueOf(batch("behind", 1_500, 100), batch("between", 1_500, 200), batch("quiet", 3, 9_000));
  expect(namesOf(queue.take(limits, 0))).toEqual(["quiet", "behind"]);
});

it("few entries are no small batch where they are large", () => {
  const few = batch("few", 3, 200);
  const large = { ...few, request: { ...few.request, bytes: limits.mostBytes / 2 } };
  expect(namesOf(queueOf(large, batch("behind", 3_000, 100)).take(limits, 0))).toEqual(["behind"]);
});

it("where all batches are small, as those of hundreds of shards are, they go in the order in which they came", () => {
  const quiet = Array.from({ length: 40 }, (_, shard) => batch(`behind ${shard}`, 100, shard));
  const queue = queueOf(...quiet.slice(0, 20), batch("quiet", 3, 9_000), ...quiet.slice(20));
  expect(namesOf(queue.take(limits, 0)).indexOf("quiet")).toBe(20);
});

it("one that must be alone keeps its place among the others, if it was not taken before", () => {
  const queue = queueOf(
    batch("quiet", 3, 300),
    batch("truncate", 1, 200, { alone: true }),
    batch("late", 3, 100),
  );
  expect(namesOf(queue.take(limits, 0))).toEqual(["quiet", "late"]);
  expect(namesOf(queue.take(limits, 0))).toEqual(["truncate"]);
});

it("no batch is put off for longer than half a second, though shards that are behind go on and on", () => {
  fc.assert(
    fc.property(fc.integer({ min: 256, max: 3_000 }), fc.integer({ min: 1, max: 64 }), (entries, tookMs) => {
      const queue = queueOf(batch("up to date", entries, 1e6));
      let now = 0;
      for (let appended = 0; ; appended++) {
        for (const shard of ["a", "b", "c", "d"]) queue.add(batch(shard, 1_500, appended, { since: now }));
        if (namesOf(queue.take(limits, now)).includes("up to date")) break;
        now += tookMs;
      }
      expect(now).toBeGreaterThan(500 - tookMs);
      expect(now).toBeLessThan(500 + 2 * tookMs);
    }),
  );
});

it("one that was taken before goes first when it comes again, and by itself", () => {
  const queue = queueOf(batch("behind", 1_500, 100), batch("quiet", 3, 9_000));
  queue.addFirst(batch("again", 10, 9_000, { alone: true }));
  expect(namesOf(queue.take(limits, 0))).toEqual(["again"]);
  expect(namesOf(queue.take(limits, 0))).toEqual(["quiet", "behind"]);
});

it("gives out each batch once, within the limits, and one that must be alone by itself", () => {
  const waiting = fc.record({
    entries: fc.integer({ min: 1, max: 4_000 }),
    bytes: fc.integer({ min: 1, max: 1.5e6 }),
    appendedAtMs: fc.integer({ min: 0, max: 1_000 }),
    since: fc.integer({ min: -1_000, max: 0 }),
    alone: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(waiting, { maxLength: 80 }), (all) => {
      const batches = all.map(({ since, alone, ...request }, index): Batch => ({
        name: String(index),
        request,
        since,
        alone,
      }));
      const queue = queueOf(...batches);
      const given: Batch[] = [];
      while (queue.first !== undefined) {
        const taken = queue.take(limits, 0);
        expect(taken.length).toBeGreaterThan(0);
        if (taken.length > 1) {
          const entries = taken.reduce((sum, { request }) => sum + request.entries, 0);
          expect(entries).toBeLessThanOrEqual(limits.mostEntries);
          const bytes = taken.reduce((sum, { request }) => sum + request.bytes, 0);
          expect(bytes).toBeLessThanOrEqual(limits.mostBytes);
          expect(taken.some(({ alone }) => alone)).toBe(false);
        }
        given.push(...taken);
      }
      expect(namesOf(given).toSorted()).toEqual(namesOf(batches).toSorted());
    }),
  );
});

it("fills a part of a transaction with entries or with bytes, none of which are counted that were taken", () => {
  const queue = queueOf(batch("few", 700, 1), batch("more", 799, 2));
  expect(queue.fills(1 / 2, limits)).toBe(false);
  queue.add(batch("last", 1, 3));
  expect(queue.fills(1 / 2, limits)).toBe(true);
  queue.take(limits, 0);
  expect(queue.fills(1 / 2, limits)).toBe(false);
  queue.add(batch("large", 1, 4, { request: { entries: 1, bytes: 5e5, appendedAtMs: 4 } }));
  expect(queue.fills(1 / 2, limits)).toBe(true);
});
