import type { Config } from "../config/config.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { ProgressListener } from "../observe/progress.ts";
import { BackOff } from "../runtime/back-off.ts";
import { sleep } from "../runtime/sleep.ts";
import { classify } from "../sink/classify.ts";
import type { MemberStore } from "../sink/member-store.ts";
import type { Lease, ShardStore } from "../sink/shard-store.ts";
import type { PipelineHealth } from "./pipeline.ts";

export interface SupervisorOptions {
  readonly config: Config;
  readonly members: MemberStore;
  readonly shards: ShardStore;
  readonly progress: ProgressListener;
  /** Rejects with SCHEMA_MISSING or SCHEMA_TOO_NEW. */
  readonly requireSchema: () => Promise<void>;
  /** Rejects when Redis cannot be reached. */
  readonly pingRedis: () => Promise<void>;
  /** Runs the shard until the signal is aborted or the lease is lost. */
  readonly own: (lease: Lease, stopping: AbortSignal) => Promise<void>;
  /** Leaves a shard's group in order after `own` has ended. */
  readonly giveBack: (lease: Lease) => Promise<void>;
}

interface OwnedShard {
  readonly lease: Lease;
  readonly stopping: AbortController;
  readonly ended: Promise<void>;
}

/**
 * Registers the member, takes shards that are free or whose lease has expired, and prolongs its leases; lets a shard go as
 * soon as it learns that another member has it. Whether it may write never depends on what it believes here: each batch proves
 * it in its own transaction (I2).
 */
export class Supervisor {
  private readonly options: SupervisorOptions;
  private readonly owned = new Map<string, OwnedShard>();
  private readonly stopping = new AbortController();
  private readonly failure = Promise.withResolvers<SluiceError>();
  private loop: Promise<void> | undefined;
  private registered = false;
  private lastTick = performance.now();
  private redisReachable = false;
  private databaseReachable = false;

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
      redisReachable: this.redisReachable,
      databaseReachable: this.databaseReachable,
    };
  }

  /** Waits for the read database as long as it takes; rejects when what is wrong does not mend itself. */
  async start(): Promise<void> {
    const { config, members, shards, requireSchema } = this.options;
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

  /** Lets every shard finish its batch, gives all back and deregisters. */
  async drain(): Promise<void> {
    this.stopping.abort();
    await this.loop;
    const owned = [...this.owned.values()];
    for (const shard of owned) shard.stopping.abort();
    await Promise.all(owned.map((shard) => this.letGo(shard)));
    if (this.registered)
      await this.options.members.deregister().catch((error: unknown) => this.report(error));
  }

  private async run(): Promise<void> {
    const { config } = this.options;
    while (!this.stopping.signal.aborted) {
      await this.tick();
      await sleep(Math.min(config.leaseMs / 4, 1_000), this.stopping.signal);
    }
  }

  private async tick(): Promise<void> {
    this.lastTick = performance.now();
    const pinged = this.options.pingRedis().then(
      () => (this.redisReachable = true),
      () => (this.redisReachable = false),
    );
    try {
      await this.beat();
      this.databaseReachable = true;
    } catch (failure) {
      this.databaseReachable = false;
      this.report(failure);
    }
    await pinged;
  }

  private async beat(): Promise<void> {
    const { config, members, shards } = this.options;
    if (!(await members.heartbeat())) {
      this.failure.resolve(
        new SluiceError("MEMBER_REPLACED", `another process runs as member ${config.member}`),
      );
      return;
    }
    const lost = await shards.renew([...this.owned.values()].map((shard) => shard.lease));
    for (const lease of lost) this.owned.get(lease.stream)?.stopping.abort();
    const wanted = config.streams.filter((stream) => !this.owned.has(stream));
    if (wanted.length === 0 || this.stopping.signal.aborted) return;
    for (const lease of await shards.take(wanted)) this.take(lease);
  }

  private take(lease: Lease): void {
    const stopping = new AbortController();
    const ended = this.options.own(lease, stopping.signal).catch((error: unknown) => this.report(error));
    this.owned.set(lease.stream, { lease, stopping, ended });
    // A shard that ends without being asked to was lost; it is taken again when it is free.
    void ended.then(() => {
      if (this.stopping.signal.aborted) return;
      this.owned.delete(lease.stream);
      this.options.progress.shardState(lease.stream, "free", undefined);
    });
  }

  private async letGo(shard: OwnedShard): Promise<void> {
    await shard.ended;
    await this.options.giveBack(shard.lease).catch((error: unknown) => this.report(error));
    await this.options.shards.release(shard.lease).catch((error: unknown) => this.report(error));
    this.options.progress.shardState(shard.lease.stream, "free", undefined);
  }

  private report(failure: unknown): void {
    this.options.progress.retried("own", classify(failure).error);
  }
}
