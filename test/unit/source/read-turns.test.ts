import fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ReadTurns } from "../../../src/source/read-turns.ts";

const [atATime, longestTurnMs] = [4, 20];

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

interface Read {
  readonly number: number;
  readonly end: PromiseWithResolvers<number>;
}

/** Asks for turns to read; `open` are those whose turn has come and that have not ended. */
function ask(
  turns: ReadTurns,
  count: number,
): { readonly open: Read[]; readonly answers: Promise<number>[] } {
  const open: Read[] = [];
  const answers = Array.from({ length: count }, (_, number) =>
    turns.take(() => {
      const end = Promise.withResolvers<number>();
      open.push({ number, end });
      return end.promise;
    }),
  );
  return { open, answers };
}

const numbers = (reads: readonly Read[]): number[] => reads.map(({ number }) => number);

it("lets four read at a time, in the order in which they came, whether they succeed or not", async () => {
  const fates = fc.array(fc.record({ succeeds: fc.boolean(), place: fc.nat() }), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(fates, async (all) => {
      const { open, answers } = ask(new ReadTurns(), all.length);
      const settled = Promise.allSettled(answers);
      const expected = new Set<number>();
      let next = 0;
      for (const { succeeds, place } of all) {
        await vi.advanceTimersByTimeAsync(0);
        while (expected.size < atATime && next < all.length) expected.add(next++);
        expect(new Set(numbers(open))).toEqual(expected);
        const [ended] = open.splice(place % open.length, 1);
        if (ended === undefined) expect.fail("none is open");
        expected.delete(ended.number);
        if (succeeds) ended.end.resolve(ended.number);
        else ended.end.reject(new Error(`${ended.number} failed`));
      }
      for (const [number, outcome] of (await settled).entries())
        expect(outcome).toMatchObject(
          outcome.status === "fulfilled" ? { value: number } : { reason: { message: `${number} failed` } },
        );
    }),
  );
});

it("a read that is not answered keeps the others waiting no longer than a turn, and gives its turn on once", async () => {
  const { open } = ask(new ReadTurns(), 3 * atATime);
  await vi.advanceTimersByTimeAsync(longestTurnMs - 1);
  expect(numbers(open)).toEqual([0, 1, 2, 3]);
  await vi.advanceTimersByTimeAsync(1);
  expect(numbers(open)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  for (const { number, end } of open.slice(0, atATime)) end.resolve(number);
  await vi.advanceTimersByTimeAsync(longestTurnMs - 1);
  expect(open).toHaveLength(2 * atATime);
  await vi.advanceTimersByTimeAsync(1);
  expect(open).toHaveLength(3 * atATime);
});

it("turns that nobody waited for are there again", async () => {
  const turns = new ReadTurns();
  for (let round = 0; round < 2; round++) {
    const { open, answers } = ask(turns, atATime);
    await vi.advanceTimersByTimeAsync(0);
    expect(open).toHaveLength(atATime);
    for (const { number, end } of open) end.resolve(number);
    await Promise.all(answers);
  }
  const { open } = ask(turns, atATime + 1);
  await vi.advanceTimersByTimeAsync(0);
  expect(open).toHaveLength(atATime);
});
