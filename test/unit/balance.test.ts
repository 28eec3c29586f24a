import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { balance } from "../../src/pipeline/balance.ts";

/**
 * A model of members that share shards: leases that run out by the store's clock, members that join, leave, crash, pause and wake,
 * and steps of time. Whatever the history, one member at a time has a lease, no shard lies free for long, and the split becomes fair.
 */
const leaseMs = 10_000;
const tickMs = 300;

interface ModelMember {
  readonly name: string;
  /** A paused member does nothing; a crashed one is gone. */
  paused: boolean;
  held: Set<string>;
  /** What it began to hand over: free with its next turn, as a batch ends. */
  handingOver: Set<string>;
}

interface ModelShard {
  owner: string | undefined;
  epoch: number;
  leaseUntil: number;
}

class Model {
  now = 0;
  moves = 0;
  readonly members = new Map<string, ModelMember>();
  readonly lastSeen = new Map<string, number>();
  readonly shards = new Map<string, ModelShard>();
  readonly freeSince = new Map<string, number>();

  constructor(shards: number) {
    for (let shard = 0; shard < shards; shard++) {
      this.shards.set(`s${shard}`, { owner: undefined, epoch: 0, leaseUntil: 0 });
    }
  }

  join(name: string): void {
    if (this.members.has(name)) return;
    this.members.set(name, { name, paused: false, held: new Set(), handingOver: new Set() });
    this.lastSeen.set(name, this.now);
  }

  leave(name: string): void {
    const member = this.members.get(name);
    if (member === undefined || member.paused) return;
    this.crash(name);
    this.lastSeen.delete(name);
    for (const shard of this.shards.values()) if (shard.owner === name) shard.owner = undefined;
  }

  crash(name: string): void {
    this.members.delete(name);
  }

  ownerOf(stream: string): string | undefined {
    const shard = this.shards.get(stream);
    return shard !== undefined && shard.leaseUntil > this.now ? shard.owner : undefined;
  }

  /** Each living member has one turn, in the given order. */
  turn(order: readonly ModelMember[]): void {
    this.now += tickMs;
    for (const member of order) if (!member.paused) this.act(member);
    for (const stream of this.shards.keys()) {
      if (this.ownerOf(stream) !== undefined) this.freeSince.delete(stream);
      else if (!this.freeSince.has(stream)) this.freeSince.set(stream, this.now);
    }
  }

  private act(member: ModelMember): void {
    this.lastSeen.set(member.name, this.now);
    for (const stream of member.held) {
      const shard = this.shards.get(stream);
      // The lease is prolonged while the row still names this member, and lost otherwise.
      if (shard?.owner === member.name) shard.leaseUntil = this.now + leaseMs;
      else member.held.delete(stream);
    }
    for (const stream of member.handingOver) {
      const shard = this.shards.get(stream);
      if (shard?.owner === member.name) shard.owner = undefined;
      member.held.delete(stream);
    }
    member.handingOver.clear();
    this.decide(member);
  }

  private decide(member: ModelMember): void {
    const alive = [...this.lastSeen].filter(([, seen]) => seen > this.now - leaseMs);
    const { take, release } = balance({
      me: member.name,
      members: alive.map(([name]) => ({ name })).sort((a, b) => (a.name < b.name ? -1 : 1)),
      shards: [...this.shards.keys()].map((stream) => ({ stream, owner: this.ownerOf(stream) })),
      held: member.held,
    });
    for (const stream of release) member.handingOver.add(stream);
    for (const stream of take) {
      const shard = this.shards.get(stream);
      const owner = this.ownerOf(stream);
      if (shard === undefined || (owner !== undefined && owner !== member.name)) continue;
      Object.assign(shard, { owner: member.name, epoch: shard.epoch + 1, leaseUntil: this.now + leaseMs });
      member.held.add(stream);
      this.moves++;
    }
  }
}

const name = fc.constantFrom("a", "b", "c", "d", "e");
type Event =
  | { readonly kind: "join" | "leave" | "crash" | "pause" | "wake"; readonly name: string }
  | { readonly kind: "turns"; readonly turns: number; readonly seed: number }
  | { readonly kind: "jump"; readonly by: number };
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    kind: fc.constantFrom(
      "join" as const,
      "leave" as const,
      "crash" as const,
      "pause" as const,
      "wake" as const,
    ),
    name,
  }),
  fc.record({ kind: fc.constant("turns" as const), turns: fc.integer({ min: 1, max: 40 }), seed: fc.nat() }),
  // The database's clock was set: leases run out early, or late.
  fc.record({ kind: fc.constant("jump" as const), by: fc.integer({ min: -2_000, max: 30_000 }) }),
);

function rotated<T>(list: readonly T[], by: number): T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

function play(model: Model, step: Event): void {
  if ("turns" in step) {
    for (let turn = 0; turn < step.turns; turn++) {
      model.turn(rotated([...model.members.values()], step.seed + turn));
      checkShards(model);
    }
  } else if ("by" in step) model.now += step.by;
  else if (step.kind === "join") model.join(step.name);
  else if (step.kind === "leave") model.leave(step.name);
  else if (step.kind === "crash") model.crash(step.name);
  else {
    const member = model.members.get(step.name);
    if (member !== undefined) member.paused = step.kind === "pause";
  }
}

function checkShards(model: Model): void {
  const awake = [...model.members.values()].some((member) => !member.paused);
  for (const [stream, since] of model.freeSince) {
    // Its last owner's lease has run out already; what is left is until a dead member counts as dead, and a turn.
    if (awake) expect(model.now - since, stream).toBeLessThanOrEqual(leaseMs + 1_000);
    else model.freeSince.set(stream, model.now);
  }
}

function split(model: Model): number[] {
  const names = [...model.members.keys()];
  return names.map(
    (each) => [...model.shards.keys()].filter((stream) => model.ownerOf(stream) === each).length,
  );
}

describe("balance", () => {
  it("over any history leaves no shard idle for longer than lease + 1 s, and then becomes and stays fair", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(event, { maxLength: 30 }),
        fc.nat(),
        (shards, events, seed) => {
          const model = new Model(shards);
          model.join("a");
          for (const step of events) play(model, step);
          for (const member of model.members.values()) member.paused = false;
          model.join("f");
          const settle = (turns: number): void => {
            for (let turn = 0; turn < turns; turn++)
              model.turn(rotated([...model.members.values()], seed + turn));
          };
          settle(Math.ceil((leaseMs * 2 + 32_000) / tickMs) + 10);
          const counts = split(model);
          expect(counts.reduce((sum, count) => sum + count, 0)).toBe(shards);
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
          const { moves } = model;
          settle(50);
          expect(model.moves, "no shard moves once the split is fair").toBe(moves);
        },
      ),
      { numRuns: 300 },
    );
  });

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
