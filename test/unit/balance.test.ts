import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { balance } from "../../src/pipeline/balance.ts";
import { BalanceModel, leaseMs, tickMs } from "../support/balance-model.ts";

const name = fc.constantFrom("a", "b", "c", "d");
const kind = fc.constantFrom(
  "join" as const,
  "leave" as const,
  "crash" as const,
  "pause" as const,
  "wake" as const,
  "cut off" as const,
  "reach again" as const,
);
type Event =
  | { readonly kind: Parameters<typeof befall>[1]; readonly name: string }
  | { readonly kind: "turns"; readonly turns: number; readonly seed: number }
  /** The database's clock was set: leases run out early, or late. */
  | { readonly kind: "jump"; readonly by: number };
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind, name }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("turns" as const),
      turns: fc.integer({ min: 1, max: 60 }),
      seed: fc.nat(1_000_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("jump" as const),
      by: fc.integer({ min: -60_000, max: 60_000 }),
    }),
  },
);

function befall(
  model: BalanceModel,
  what: "join" | "leave" | "crash" | "pause" | "wake" | "cut off" | "reach again",
  who: string,
): void {
  switch (what) {
    case "join":
      return model.join(who);
    case "leave":
      return model.leave(who);
    case "crash":
      return model.crash(who);
    case "pause":
    case "wake":
      return model.pause(who, what === "pause");
    case "cut off":
    case "reach again":
      return model.cutOff(who, what === "cut off");
    default:
      return what satisfies never;
  }
}

function rotated<T>(list: readonly T[], by: number): T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

/** Members act in changing order; about every third decides by what it saw a turn ago. */
function turn(model: BalanceModel, seed: number): void {
  model.turn(rotated([...model.members.values()], seed), (index) => (seed * 7 + index) % 3 === 0);
}

function play(model: BalanceModel, step: Event): void {
  if (step.kind === "jump") model.setClock(step.by);
  else if (step.kind !== "turns") befall(model, step.kind, step.name);
  else {
    for (let index = 0; index < step.turns; index++) {
      turn(model, step.seed + index);
      checkShards(model);
    }
  }
}

function checkShards(model: BalanceModel): void {
  for (const [stream, { epoch }] of model.shards) {
    const { ms, most } = model.idle(stream);
    expect(ms, stream).toBeLessThanOrEqual(most);
    const writers = [...model.members.values()].filter(({ held }) => held.get(stream) === epoch);
    expect(writers.length, `members that may write ${stream}`).toBeLessThanOrEqual(1);
  }
}

function split(model: BalanceModel): number[] {
  const names = [...model.members.keys()];
  return names.map(
    (each) => [...model.shards.keys()].filter((stream) => model.ownerOf(stream) === each).length,
  );
}

/** A lease that is too long to be valid becomes valid again while its shard is left to a dead member, who seems alive once more. */
const clockSetBack: Event[] = [
  { kind: "join", name: "d" },
  { kind: "turns", turns: 1, seed: 0 },
  { kind: "crash", name: "a" },
  { kind: "turns", turns: 36, seed: 0 },
  { kind: "jump", by: -11_001 },
  { kind: "crash", name: "d" },
];

describe("balance", () => {
  it("over any history has one writer, leaves no shard idle for longer than lease + 1 s, and then becomes and stays fair", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 0, max: 3 }),
        fc.array(event, { maxLength: 40, size: "max" }),
        fc.nat(1_000_000),
        (shards, handOverTurns, events, seed) => {
          const model = new BalanceModel(shards, handOverTurns);
          model.join("a");
          for (const step of events) play(model, step);
          for (const each of model.members.keys()) {
            model.pause(each, false);
            model.cutOff(each, false);
          }
          model.join("f");
          const settle = (turns: number): void => {
            for (let index = 0; index < turns; index++) {
              turn(model, seed + index);
              checkShards(model);
            }
          };
          settle(Math.ceil((leaseMs * 4) / tickMs));
          const counts = split(model);
          expect(counts.reduce((sum, count) => sum + count, 0)).toBe(shards);
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
          const { moves } = model;
          settle(50);
          expect(model.moves, "no shard moves once the split is fair").toBe(moves);
        },
      ),
      { numRuns: 120, examples: [[1, 0, clockSetBack, 212_633]] },
    );
  }, 60_000);

  it("moves no more shards than the newcomer is to have", () => {
    const shards = Array.from({ length: 8 }, (_, shard) => ({
      stream: `s${shard}`,
      owner: shard < 4 ? "a" : "b",
    }));
    const members = [{ name: "a" }, { name: "b" }, { name: "c" }];
    const decide = (me: string) =>
      balance({ me, members, shards, held: new Set(shards.map(({ stream }) => stream)) });
    expect(decide("a").release).toHaveLength(1);
    expect(decide("b").release).toHaveLength(1);
    expect(decide("c")).toEqual({ take: [], release: [] });
  });

  it("leaves members beyond the number of shards standing by", () => {
    const shards = [{ stream: "s0", owner: "a" }];
    const members = [{ name: "a" }, { name: "b" }];
    expect(balance({ me: "b", members, shards, held: new Set() })).toEqual({ take: [], release: [] });
    expect(balance({ me: "a", members, shards, held: new Set(["s0"]) })).toEqual({ take: [], release: [] });
  });

  it("takes at once what it had before a restart", () => {
    const shards = [
      { stream: "s0", owner: "a" },
      { stream: "s1", owner: "b" },
    ];
    const members = [{ name: "a" }, { name: "b" }];
    expect(balance({ me: "a", members, shards, held: new Set() }).take).toEqual(["s0"]);
  });

  it("lets everything go when it wants no shards", () => {
    const shards = [{ stream: "s0", owner: "a" }];
    expect(balance({ me: "a", members: [{ name: "b" }], shards, held: new Set(["s0"]) }).release).toEqual([
      "s0",
    ]);
  });

  it("gives each free shard to one taker", () => {
    const shards = Array.from({ length: 7 }, (_, shard) => ({ stream: `s${shard}`, owner: undefined }));
    const members = [{ name: "a" }, { name: "b" }, { name: "c" }];
    const taken = members.flatMap(({ name: me }) => balance({ me, members, shards, held: new Set() }).take);
    expect([...taken].sort()).toEqual(shards.map(({ stream }) => stream));
  });
});
