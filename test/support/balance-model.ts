import { balance } from "../../src/pipeline/balance.ts";

export const leaseMs = 10_000;
export const tickMs = 300;

/** As the supervisor has it: of the lease, after which a member that Redis does not answer gives its shards away. */
const cutOffShare = 0.6;

/** As `ShardStore` has it: a lease that ends later than so many leases from now is from before the clock was set back. */
const furthestLeases = 2;

/** As `MemberStore` has it. */
const furthestSeenMs = 1_000;

interface ModelMember {
  readonly name: string;
  /** A paused member does nothing; a crashed one is gone. */
  paused: boolean;
  /** Since when it does not reach Redis. */
  cutOffSince: number | undefined;
  /** Epochs of the shards that it believes to have. */
  readonly held: Map<string, number>;
  /** Turns that its batch at hand still takes, of shards that it lets go. */
  readonly handingOver: Map<string, number>;
}

interface ModelShard {
  owner: string | undefined;
  epoch: number;
  leaseUntil: number;
  /** Of the newest write. */
  writtenEpoch: number;
  /** On the steady clock: when a member that could read it last had it. */
  servedAt: number;
}

interface View {
  readonly alive: readonly { readonly name: string }[];
  readonly shards: readonly { readonly stream: string; readonly owner: string | undefined }[];
}

/**
 * Members that share shards: leases by the database's clock, which may be set forward and back, members that join, leave, crash, pause, wake
 * and lose Redis, batches that take their time, and views that are a turn old.
 */
export class BalanceModel {
  /** Steady; the database's clock is `offset` ahead. */
  now = 0;
  moves = 0;
  readonly members = new Map<string, ModelMember>();
  readonly shards = new Map<string, ModelShard>();
  private offset = 0;
  private readonly rows = new Map<string, { seen: number; state: "running" | "cut-off" }>();
  private lastView: View = { alive: [], shards: [] };
  private disturbedAt = 0;
  /** On the steady clock: until then a lease from before the clock was set back may be valid, or become so again. */
  private longUntil = Number.NEGATIVE_INFINITY;
  private readonly handOverTurns: number;

  constructor(shards: number, handOverTurns: number) {
    this.handOverTurns = handOverTurns;
    for (let shard = 0; shard < shards; shard++) {
      const free = { owner: undefined, epoch: 0, leaseUntil: 0, writtenEpoch: 0, servedAt: 0 };
      this.shards.set(`s${shard}`, free);
    }
  }

  join(name: string): void {
    this.disturbedAt = this.now;
    if (this.members.has(name)) return;
    const nothing = { held: new Map(), handingOver: new Map() };
    this.members.set(name, { name, paused: false, cutOffSince: undefined, ...nothing });
  }

  leave(name: string): void {
    const member = this.members.get(name);
    if (member === undefined || member.paused) return;
    this.crash(name);
    this.rows.delete(name);
    for (const [stream, epoch] of member.held) this.release(stream, epoch);
  }

  crash(name: string): void {
    this.disturbedAt = this.now;
    this.members.delete(name);
  }

  pause(name: string, paused: boolean): void {
    this.disturbedAt = this.now;
    const member = this.members.get(name);
    if (member !== undefined) member.paused = paused;
  }

  cutOff(name: string, isCutOff: boolean): void {
    this.disturbedAt = this.now;
    const member = this.members.get(name);
    if (member !== undefined) member.cutOffSince = isCutOff ? (member.cutOffSince ?? this.now) : undefined;
  }

  setClock(by: number): void {
    this.offset += by;
    if (by >= 0) return;
    this.disturbedAt = this.now;
    // Jumps add up.
    this.longUntil = Math.max(this.longUntil, this.now + leaseMs) - by;
  }

  /** Each living member has one turn, in the given order; `sees` says whose view is of the turn before. */
  turn(order: readonly ModelMember[], isBehind: (index: number) => boolean): void {
    this.now += tickMs;
    for (const [index, member] of order.entries()) if (!member.paused) this.act(member, isBehind(index));
    this.lastView = this.view();
  }

  /** Milliseconds that a shard has been without a member that could read it, and how many that may be. */
  idle(stream: string): { readonly ms: number; readonly most: number } {
    const shard = this.shards.get(stream);
    const able = [...this.members.values()].some(isAble);
    // Counted from the last sign of life; who is to have the shard may itself have gone after that.
    if (shard === undefined || !able) this.disturbedAt = this.now;
    const since = Math.max(shard?.servedAt ?? 0, this.disturbedAt);
    // A clock that was set back may make a dead member seem alive for a lease, to whom the shard is left, and the dead owner's lease valid after that.
    const leases = since <= this.longUntil ? 1 + furthestLeases : 1;
    return { ms: this.now - since, most: leases * leaseMs + 1_000 };
  }

  ownerOf(stream: string): string | undefined {
    const shard = this.shards.get(stream);
    return shard === undefined || this.isExpired(shard) ? undefined : shard.owner;
  }

  private get databaseNow(): number {
    return this.now + this.offset;
  }

  private isExpired({ leaseUntil }: ModelShard): boolean {
    return leaseUntil <= this.databaseNow || leaseUntil > this.databaseNow + furthestLeases * leaseMs;
  }

  private view(): View {
    for (const [name, { seen }] of this.rows)
      if (seen > this.databaseNow + furthestSeenMs) this.rows.delete(name);
    const alive = [...this.rows].filter(
      ([, { seen, state }]) =>
        state === "running" && seen >= this.databaseNow - leaseMs && seen <= this.databaseNow,
    );
    return {
      alive: alive.map(([name]) => ({ name })).toSorted((left, right) => (left.name < right.name ? -1 : 1)),
      shards: [...this.shards.keys()].map((stream) => ({ stream, owner: this.ownerOf(stream) })),
    };
  }

  private act(member: ModelMember, isBehind: boolean): void {
    // What it had in its hands before it was paused comes first.
    for (const [stream, epoch] of member.held)
      if (member.cutOffSince === undefined) this.write(stream, epoch);
    const isCutOff =
      member.cutOffSince !== undefined && this.now - member.cutOffSince > leaseMs * cutOffShare;
    this.rows.set(member.name, { seen: this.databaseNow, state: isCutOff ? "cut-off" : "running" });
    this.renew(member);
    this.handOver(member);
    this.decide(member, isBehind ? this.lastView : this.view(), isCutOff);
  }

  /** A batch: refused unless its epoch is the newest. */
  private write(stream: string, epoch: number): void {
    const shard = this.shards.get(stream);
    if (shard === undefined || shard.epoch !== epoch) return;
    if (epoch < shard.writtenEpoch) throw new Error(`${stream} was written by an older epoch`);
    shard.writtenEpoch = epoch;
    shard.servedAt = this.now;
  }

  private renew(member: ModelMember): void {
    for (const [stream, epoch] of member.held) {
      const shard = this.shards.get(stream);
      if (shard?.owner === member.name && shard.epoch === epoch)
        shard.leaseUntil = this.databaseNow + leaseMs;
      else member.held.delete(stream);
    }
  }

  private handOver(member: ModelMember): void {
    for (const [stream, turns] of member.handingOver) {
      const epoch = member.held.get(stream);
      if (epoch !== undefined && turns > 0) {
        member.handingOver.set(stream, turns - 1);
        continue;
      }
      member.handingOver.delete(stream);
      member.held.delete(stream);
      if (epoch !== undefined) this.release(stream, epoch);
    }
  }

  private release(stream: string, epoch: number): void {
    const shard = this.shards.get(stream);
    if (shard?.epoch === epoch) Object.assign(shard, { owner: undefined, leaseUntil: 0 });
  }

  private decide(member: ModelMember, view: View, isCutOff: boolean): void {
    const { take, release } = balance({
      me: member.name,
      members: isCutOff ? view.alive.filter(({ name }) => name !== member.name) : view.alive,
      shards: view.shards,
      held: new Set(member.held.keys()),
    });
    for (const stream of release)
      if (!member.handingOver.has(stream)) member.handingOver.set(stream, this.handOverTurns);
    for (const stream of take) if (!member.held.has(stream)) this.take(member, stream);
  }

  /** As the statement decides it, whatever the member has seen. */
  private take(member: ModelMember, stream: string): void {
    const shard = this.shards.get(stream);
    if (shard === undefined) return;
    if (shard.owner !== undefined && shard.owner !== member.name && !this.isExpired(shard)) return;
    shard.epoch++;
    Object.assign(shard, { owner: member.name, leaseUntil: this.databaseNow + leaseMs });
    if (isAble(member)) shard.servedAt = this.now;
    member.held.set(stream, shard.epoch);
    this.moves++;
  }
}

function isAble(member: ModelMember): boolean {
  return !member.paused && member.cutOffSince === undefined;
}
