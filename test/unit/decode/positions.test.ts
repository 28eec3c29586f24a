import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Operation } from "../../../src/change/change.ts";
import { Positions } from "../../../src/decode/positions.ts";

type Step = readonly [op: Operation, logged: number, committed: number | undefined];

function positionsOf(positions: Positions, steps: readonly Step[]): number[] {
  return steps.map(([op, logged, committed]) => Number(positions.of(op, BigInt(logged), committed)));
}

const nowhere = { snapshotPosition: 0n, commitLsn: 0 };

describe("Positions", () => {
  it("gives the changes of a transaction that others overtook the places where they were logged", () => {
    const steps: Step[] = [
      ["c", 304, 400],
      ["u", 312, 400],
      ["d", 320, 400],
    ];
    expect(positionsOf(new Positions(nowhere), steps)).toEqual([304, 312, 320]);
  });

  it("lifts what was logged below a snapshot and committed behind it above the snapshot, and nothing else", () => {
    const steps: Step[] = [
      ["r", 504, 504],
      ["u", 400, 600],
      ["u", 504, 600],
      ["u", 512, 600],
      // Sent again, from before the snapshot.
      ["u", 408, 440],
      ["r", 504, 504],
    ];
    expect(positionsOf(new Positions(nowhere), steps)).toEqual([504, 505, 505, 512, 408, 504]);
  });

  it("takes the first transaction after an initial snapshot, which names no commit, for one behind it", () => {
    const snapshot: Step[] = [
      ["r", 504, undefined],
      ["r", 504, undefined],
    ];
    const first: Step[] = [
      ["u", 400, undefined],
      ["d", 408, undefined],
      ["c", 512, undefined],
    ];
    const again: Step = ["u", 400, undefined];
    expect(positionsOf(new Positions(nowhere), [...snapshot, ...first, again])).toEqual([
      ...[504, 504, 505, 505, 512],
      400,
    ]);
    expect(positionsOf(new Positions({ snapshotPosition: 504n, commitLsn: 504 }), first)).toEqual([
      505, 505, 512,
    ]);
    expect(positionsOf(new Positions({ snapshotPosition: 504n, commitLsn: 600 }), first)).toEqual([
      400, 408, 512,
    ]);
  });

  it("gives a replay's changes the positions that they had, once it has met a snapshot, and none that is higher before", () => {
    const stream: Step[] = [
      ["u", 96, undefined],
      ["r", 504, undefined],
      ["u", 400, undefined],
      ["u", 600, 520],
      ["u", 408, 640],
      ["r", 10_000, 9_000],
      ["u", 9_600, 9_800],
      ["u", 9_600, 10_400],
    ];
    const live = positionsOf(new Positions(nowhere), stream);
    for (let from = 0; from < stream.length; from++) {
      const replayed = positionsOf(Positions.ofReplay(10_000n), stream.slice(from));
      if (from < 2) expect(replayed).toEqual(live.slice(from));
      replayed.forEach((position, index) => expect(position).toBeLessThanOrEqual(live[from + index] ?? 0));
    }
    expect(positionsOf(Positions.ofReplay(10_000n), stream.slice(-1))).toEqual([10_001]);
  });

  it("lets each key's positions rise with the commits, over snapshots and what is sent again", () => {
    fc.assert(
      fc.property(
        fc.array(transaction, { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 3 }),
        (made, crashes) => {
          const log = logOf(made);
          const positions = new Positions(nowhere);
          const rows = new Map<number, { readonly position: number; readonly state: number }>();
          const apply = (changes: readonly Logged[]): void => {
            for (const { key, step, state } of changes) {
              const [position = 0] = positionsOf(positions, [step]);
              if ((rows.get(key)?.position ?? 0) <= position) rows.set(key, { position, state });
            }
          };
          apply(log);
          for (const crash of crashes)
            apply(log.slice(crash % log.length).filter(({ step: [op] }) => op !== "r"));
          const newest = new Map(log.map(({ key, state }) => [key, state]));
          expect(new Map([...rows].map(([key, { state }]) => [key, state]))).toEqual(newest);
        },
      ),
      { numRuns: 500 },
    );
  });
});

/** A transaction with keys of its own, how many of the next ones commit before it, and whether a snapshot is taken while it is open. */
const transaction = fc.record({
  changes: fc.array(fc.nat({ max: 1 }), { minLength: 1, maxLength: 3 }),
  stays: fc.nat({ max: 3 }),
  snapshot: fc.boolean(),
});

interface Logged {
  readonly key: number;
  readonly step: Step;
  /** The number of the change that left the row so. */
  readonly state: number;
}

/** Debezium's stream: each transaction where it commits; a snapshot's rows where it is taken, as they are committed there. */
function logOf(
  made: readonly (typeof transaction extends fc.Arbitrary<infer Made> ? Made : never)[],
): Logged[] {
  const stream: Logged[] = [];
  const open: { until: number; changes: { key: number; lsn: number; state: number }[] }[] = [];
  const rows = new Map<number, number>();
  let [lsn, committed, state] = [800, undefined as number | undefined, 0];
  const commit = (at: number): void => {
    for (const each of open.filter(({ until }) => until === at))
      for (const change of each.changes) {
        stream.push({ key: change.key, step: ["u", change.lsn, committed], state: change.state });
        rows.set(change.key, change.state);
        if (change === each.changes.at(-1)) committed = lsn += 8;
      }
  };
  made.forEach(({ changes, stays, snapshot }, at) => {
    // Two keys for each, which it takes over from one that has ended.
    const owner = at % 4;
    const until = Math.min(at + stays, made.length);
    const free = open.every((each) => each.until < at || !each.changes.some(({ key }) => key >> 1 === owner));
    if (free)
      open.push({
        until,
        changes: changes.map((each) => ({ key: owner * 2 + each, lsn: (lsn += 8), state: ++state })),
      });
    if (snapshot) {
      const place = (lsn += 8);
      for (const [key, row] of rows) stream.push({ key, step: ["r", place, committed], state: row });
      // The signal that closes the snapshot's window is a transaction itself.
      committed = lsn += 8;
    }
    commit(at);
  });
  commit(made.length);
  return stream;
}
