import type { Config } from "../config/config.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { ProgressListener } from "../observe/progress.ts";
import { BackOff } from "../runtime/back-off.ts";
import { sleep } from "../runtime/sleep.ts";
import { classify } from "../sink/classify.ts";
import type { MemberState, MemberStore } from "../sink/member-store.ts";
import type { Lease, ShardStore } from "../sink/shard-store.ts";
import type { RedisWatch } from "../source/redis-watch.ts";
import { balance } from "./balance.ts";
import type { PipelineHealth } from "./pipeline.ts";

export interface SupervisorOptions {
  readonly config: Config;
  readonly members: MemberStore;
  readonly shards: ShardStore;
  readonly progress: ProgressListener;
  /** Rejects with SCHEMA_MISSING or SCHEMA_TOO_NEW. */
  readonly requireSchema: () => Promise<void>;
  readonly redis: Pick<RedisWatch, "start" | "stop" | "reachable" | "isSilentFor">;
  /** Runs the shard until the signal is aborted or the lease is lost. */
  readonly own: (lease: Lease, stopping: AbortSignal) => Promise<void>;
  /** Notices DDL in the read database. */
  readonly refreshCatalog: () => Promise<void>;
  /** Does again the deletes that may have missed a row. */
  readonly secondLook: () => Promise<unknown>;
  /** Leaves a shard's group in order after `own` has ended; gives that up when the signal is aborted. */
  readonly giveBack: (lease: Lease, signal: AbortSignal) => Promise<void>;
}

interface OwnedShard {
  readonly lease: Lease;
  readonly stopping: AbortController;
  readonly ended: Promise<void>;
  letGo: Promise<void> | undefined;
}

const longestPauseMs = 300;

/** Of the lease, after which a member that Redis does not answer gives its shards away. */
const cutOffShare = 0.6;

/** What may be spent on housekeeping while the next owner waits for the shard. */
const longestGiveBackMs = 1_000;

/**
 * Registers the member, takes its fair share of the shards and prolongs its leases; hands shards over, each after its batch, when
 * others join; lets a shard go as soon as it learns that another member has it. Whether it may write never depends on what it
 * believes here: each batch proves it in its own transaction (I2).
 */
export class Supervisor {
  private readonly options: SupervisorOptions;
  private readonly owned = new Map<string, OwnedShard>();
  private readonly stopping = new AbortController();
  private readonly failure = Promise.withResolvers<SluiceError>();
  private loop: Promise<void> | undefined;
  private registered = false;
  private lastTick = performance.now();
  private lastBeat = Number.NEGATIVE_INFINITY;
  private toldState: MemberState = "running";
  /** Beside the leases, which must not wait for it. */
  private looking: Promise<unknown> | undefined;
  private databaseReachable = false;
  private standsBy = false;

  constructor(options: SupervisorOptions) {
    this.options = options;
  }

  get failed(): Promise<SluiceError> {
    return this.failure.promise;
  }

  health(): PipelineHealth {
    return {
      registered: this.registered,
      draining: this.stopping.signal.aborted,
      tickAgeMs: performance.now() - this.lastTick,
      redisReachable: this.options.redis.reachable,
      databaseReachable: this.databaseReachable,
    };
  }

  /** Waits for the read database as long as it takes; rejects when what is wrong does not mend itself. */
  async start(): Promise<void> {
    const { config, members, shards, redis, requireSchema } = this.options;
    await redis.start();
    const backOff = new BackOff({ firstMs: 100, maxMs: config.retryMaxMs });
    while (!this.stopping.signal.aborted) {
      this.lastTick = performance.now();
      try {
        await requireSchema();
        await members.register();
        await shards.register(config.streams);
        this.registered = true;
        this.databaseReachable = true;
        this.loop = this.run();
        return;
      } catch (failure) {
        const { error } = classify(failure);
        if (error.policy !== "retry") throw error;
        this.options.progress.retried("own", error);
        await sleep(backOff.next(), this.stopping.signal);
      }
    }
  }

  /** How many streams this member works on. */
  get shards(): number {
    return this.owned.size;
  }

  /** Streams that this member works on. */
  get streams(): readonly string[] {
    return [...this.owned.keys()];
  }

  /** Lets every shard finish its batch, gives all back and deregisters. The others take over while the last batches end. */
  async drain(): Promise<void> {
    this.stopping.abort();
    await this.loop;
    await this.looking;
    const { members } = this.options;
    if (this.registered) await members.heartbeat("leaving").catch((error: unknown) => this.report(error));
    await Promise.all([...this.owned.values()].map((shard) => this.letGo(shard)));
    await this.options.redis.stop();
    if (this.registered) await members.deregister().catch((error: unknown) => this.report(error));
  }

  private async run(): Promise<void> {
    const { config } = this.options;
    while (!this.stopping.signal.aborted) {
      await this.tick();
      await sleep(Math.min(config.leaseMs / 10, longestPauseMs), this.stopping.signal);
    }
  }

  private async tick(): Promise<void> {
    this.lastTick = performance.now();
    try {
      await this.beat();
      await this.rebalance();
      this.databaseReachable = true;
    } catch (failure) {
      this.databaseReachable = false;
      this.report(failure);
    }
  }

  /** Says that the member lives and prolongs its leases, often enough for both to outlast a missed turn or two. */
  private async beat(): Promise<void> {
    const { config, members, shards, refreshCatalog, secondLook } = this.options;
    const state = this.isCutOff ? "cut-off" : "running";
    const isDue = performance.now() - this.lastBeat >= Math.min(config.leaseMs / 4, 1_000);
    if (!isDue && state === this.toldState) return;
    if (!(await members.heartbeat(state))) {
      this.failure.resolve(
        new SluiceError("MEMBER_REPLACED", `another process runs as member ${config.member}`),
      );
      return;
    }
    this.toldState = state;
    const lost = await shards.renew([...this.owned.values()].map((shard) => shard.lease));
    for (const lease of lost) this.owned.get(lease.stream)?.stopping.abort();
    this.lastBeat = performance.now();
    this.looking ??= refreshCatalog()
      .then(secondLook)
      .catch((error: unknown) => this.report(error))
      .finally(() => (this.looking = undefined));
  }

  /**
   * Another member may reach Redis where this one does not: it must not keep the shards idle. Early enough for the other to have them by
   * the time at which a dead member's would be taken.
   */
  private get isCutOff(): boolean {
    return this.options.redis.isSilentFor(this.options.config.leaseMs * cutOffShare);
  }

  private async rebalance(): Promise<void> {
    const { config, members, shards } = this.options;
    const [wanting, owners] = [await members.wanting(config.leaseMs), await shards.owners()];
    const me = config.member;
    const { take, release } = balance({
      me,
      members: this.isCutOff ? wanting.filter(({ name }) => name !== me) : wanting,
      shards: owners,
      held: new Set(this.owned.keys()),
    });
    const known = new Set(owners.map(({ stream }) => stream));
    const retired = [...this.owned.keys()].filter((stream) => !known.has(stream));
    for (const stream of [...release, ...retired]) {
      const shard = this.owned.get(stream);
      if (shard !== undefined) void this.letGo(shard);
    }
    if (this.stopping.signal.aborted) return;
    for (const lease of await shards.take(take.filter((stream) => !this.owned.has(stream)))) this.take(lease);
    const othersHaveAll = owners.every(({ owner }) => owner !== undefined && owner !== me);
    this.tellStandingBy(othersHaveAll && wanting.length > owners.length);
  }

  /** Once when it begins, as more members than shards make it, and once when it ends. */
  private tellStandingBy(isBeyond: boolean): void {
    const stands = this.owned.size === 0 && (isBeyond || this.standsBy);
    if (stands === this.standsBy) return;
    this.standsBy = stands;
    this.options.progress.standingBy(stands);
  }

  private take(lease: Lease): void {
    const stopping = new AbortController();
    const ended = this.options.own(lease, stopping.signal).catch((error: unknown) => this.report(error));
    const shard: OwnedShard = { lease, stopping, ended, letGo: undefined };
    this.owned.set(lease.stream, shard);
    // A shard that ends without being asked to was lost; it is taken again when it is free.
    void ended.then(() => {
      if (shard.letGo === undefined) this.forget(shard);
    });
  }

  /** After the batch at hand. */
  private letGo(shard: OwnedShard): Promise<void> {
    shard.letGo ??= this.handOver(shard);
    return shard.letGo;
  }

  private async handOver(shard: OwnedShard): Promise<void> {
    shard.stopping.abort();
    await shard.ended;
    const { redis, giveBack, config } = this.options;
    const signal = AbortSignal.timeout(Math.min(config.leaseMs / 4, longestGiveBackMs));
    if (redis.reachable) await giveBack(shard.lease, signal).catch((error: unknown) => this.report(error));
    await this.options.shards.release(shard.lease).catch((error: unknown) => this.report(error));
    this.forget(shard);
  }

  private forget(shard: OwnedShard): void {
    this.owned.delete(shard.lease.stream);
    this.options.progress.shardState(shard.lease.stream, "free", undefined);
  }

  private report(failure: unknown): void {
    this.options.progress.retried("own", classify(failure).error);
  }
}
