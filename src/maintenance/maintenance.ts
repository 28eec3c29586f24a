import type pg from "pg";
import { firstEntryId } from "../change/entry-id.ts";
import type { Config } from "../config/config.ts";
import type { ProgressListener } from "../observe/progress.ts";
import { sleep } from "../runtime/sleep.ts";
import { classify } from "../sink/classify.ts";
import { MaintenanceStore, type ShardRecord } from "../sink/maintenance-store.ts";
import { readStreamFindings, StreamRecordStore, type LookedAt } from "../sink/stream-record-store.ts";
import { ask, milliseconds, valueOf, type StreamRedis } from "../source/ask.ts";
import { openRedis } from "../source/connect.ts";
import { readStreamFacts, type StreamFacts } from "../source/stream-facts.ts";
import { readRedisFacts, type RedisFacts } from "../source/stream-info.ts";
import { uncountedEntries } from "./deleted-entries.ts";
import { Deregistration } from "./deregister.ts";
import { prunableBeforeMs, prune } from "./prune.ts";
import { retire } from "./retire.ts";
import { Trimmer } from "./trimmer.ts";
import { WarningBoard } from "./warning-board.ts";
import { failOverWarnings, findingWarnings, memoryWarnings, redisWarnings, shardWarnings } from "./watch.ts";

/** A shard that this member reads. */
export interface OwnedShard {
  readonly stream: string;
  /** Reading has begun, so that the stream is known to go on where the checkpoint stands. */
  readonly isRead: boolean;
  /** Consumers that must go; done between two reads. */
  removeConsumers(names: readonly string[]): void;
  /** That many entries at or before its place were deleted before they were read. */
  countDeleted(entries: bigint): void;
}

export interface MaintenanceOptions {
  readonly config: Config;
  /** Of its own: nothing here may wait behind batches, nor they behind it. */
  readonly database: pg.Pool;
  /** A connection of its own; tests put another one there. */
  readonly openRedis?: () => Promise<StreamRedis>;
  readonly owned: () => readonly OwnedShard[];
  readonly progress: ProgressListener;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/** What one round goes by. */
interface Seen {
  readonly redis: StreamRedis;
  readonly server: RedisFacts;
  readonly nowMs: number;
  readonly shards: readonly ShardRecord[];
  readonly streams: ReadonlyMap<string, StreamFacts>;
  readonly owned: readonly OwnedShard[];
}

/**
 * Runs in every member, on connections of its own. Each round looks at both stores once, decides by pure functions, and does a bounded
 * amount of work; what fails is told and tried again in the next round. Nothing that another member does at the same time can make
 * a step wrong: each is safe by what the stores say, whoever takes it.
 */
export class Maintenance {
  private readonly options: MaintenanceOptions;
  private readonly store: MaintenanceStore;
  private readonly records: StreamRecordStore;
  private readonly deregistration: Deregistration;
  private readonly trimmer: Trimmer;
  private readonly board: WarningBoard;
  private readonly stopping = new AbortController();
  private redis: StreamRedis | undefined;
  private loop: Promise<void> | undefined;

  constructor(options: MaintenanceOptions) {
    const { config, database, progress } = options;
    this.options = options;
    this.store = new MaintenanceStore(database, config.pipeline);
    this.records = new StreamRecordStore(database, config.pipeline);
    this.deregistration = new Deregistration(config.member, progress);
    this.trimmer = new Trimmer({ config, progress });
    this.board = new WarningBoard(progress);
  }

  start(): void {
    this.loop ??= this.run();
  }

  /** Ends a round at hand at its next command. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.redis?.disconnect();
    await this.loop;
  }

  private async run(): Promise<void> {
    const { maintenanceIntervalMs: interval } = this.options.config;
    const { signal } = this.stopping;
    await sleep(this.jittered(interval / 4), signal);
    while (!signal.aborted) {
      await this.round().catch((error: unknown) => this.report(error));
      await sleep(this.jittered(interval), signal);
    }
  }

  /** Up to a fifth more or less, so that members do not all come at once. */
  private jittered(interval: number): number {
    const random = this.options.random ?? Math.random;
    return interval * (0.8 + 0.4 * random());
  }

  /** One round. A step that fails does not keep the others from being tried; the first failure is thrown in the end. */
  async round(): Promise<void> {
    const seen = await this.look();
    const failures: unknown[] = [];
    for (const step of [this.deregister, this.trim, this.retire, this.recount, this.prune, this.watch]) {
      if (this.stopping.signal.aborted) return;
      await step.call(this, seen).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }

  /** The read database first: what is applied by then, the streams seen after that hold or held. */
  private async look(): Promise<Seen> {
    const { config, owned } = this.options;
    const redis = await this.connected();
    const shards = await this.store.durableShards();
    const [time] = await ask(redis, [["TIME"]]);
    const names = new Set([...shards.map(({ stream }) => stream), ...config.streams]);
    return {
      redis,
      shards,
      owned: owned(),
      nowMs: milliseconds(valueOf(time)),
      server: await readRedisFacts(redis),
      streams: await readStreamFacts(redis, [...names], config.group),
    };
  }

  private async connected(): Promise<StreamRedis> {
    if (this.redis?.status === "ready") return this.redis;
    this.redis?.disconnect();
    this.redis = undefined;
    const { config } = this.options;
    const open =
      this.options.openRedis ??
      (() =>
        openRedis({
          url: config.redisUrl,
          name: `sluice:${config.member}:maintenance`,
          signal: this.stopping.signal,
        }));
    this.redis = await open();
    // It may have been asked to stop while it connected.
    if (this.stopping.signal.aborted) this.redis.disconnect();
    return this.redis;
  }

  private async deregister({ redis, owned, streams }: Seen): Promise<void> {
    this.deregistration.removeOthers(owned, streams);
    await this.store.removeSilentMembers(this.options.config.leaseMs * 2);
    await this.deregistration.addMissing(redis, this.options.config.group, owned, streams);
  }

  private async trim(seen: Seen): Promise<void> {
    const owned = new Set(seen.owned.map(({ stream }) => stream));
    const shards = seen.shards.filter((shard) => owned.has(shard.stream) && !shard.retired);
    const stands = (shard: ShardRecord): Promise<boolean> => this.store.stands(shard);
    const round = { ...seen, shards, stopping: this.stopping.signal, stands };
    await this.trimmer.trim(round, await this.trimmer.plan(round));
  }

  private async retire(seen: Seen): Promise<void> {
    const { group, retainAgeMs } = this.options.config;
    const owned = new Set(seen.owned.map(({ stream }) => stream));
    const retired = await retire(seen.redis, this.store, { ...seen, group, retainAgeMs }, owned);
    for (const stream of retired.marked) this.options.progress.shardRetired(stream, "marked");
    for (const stream of retired.removed) this.options.progress.shardRetired(stream, "removed");
  }

  /** Finds entries that vanished unapplied, and sets the count right, so that they are told once and gaps are found afterwards too. */
  private async recount({ owned, shards, streams }: Seen): Promise<void> {
    for (const { stream, ...reading } of owned) {
      const shard = shards.find((each) => each.stream === stream);
      const facts = streams.get(stream);
      const missing = shard === undefined || facts === undefined ? undefined : uncountedEntries(shard, facts);
      if (shard === undefined || facts === undefined || missing === undefined || missing === 0n) continue;
      if (await this.store.recount(shard, facts.added, missing)) reading.countDeleted(missing);
    }
  }

  /** Only by streams that were all seen in this round. */
  private async prune({ streams, nowMs }: Seen): Promise<void> {
    const before = prunableBeforeMs(streams.values(), nowMs);
    const pruned = await prune(this.store, before, this.stopping.signal);
    if (pruned > 0) this.options.progress.tombstonesPruned(pruned);
  }

  private async watch({ server, shards, streams, nowMs }: Seen): Promise<void> {
    const { config } = this.options;
    await this.records.see(lookedAt(this.options.owned(), shards, streams));
    const changed = server.replicationId === "" ? undefined : await this.store.seeRedis(server.replicationId);
    const watched = shards.map((shard) => {
      const { firstId, lastId } = streams.get(shard.stream) ?? {};
      return { ...shard, firstId, lastId };
    });
    this.board.update([
      ...redisWarnings(server),
      ...memoryWarnings(config.memoryHigh, server, shortestWindow(streams.values(), nowMs)),
      ...failOverWarnings(changed),
      ...shardWarnings(watched, config.streams),
      ...findingWarnings(await readStreamFindings(this.options.database, config.pipeline)),
    ]);
  }

  private report(failure: unknown): void {
    if (!this.stopping.signal.aborted) this.options.progress.retried("maintain", classify(failure).error);
  }
}

/** Of shards that this member reads. One that a gap has stopped must not lose what shows it. */
function lookedAt(
  owned: readonly OwnedShard[],
  shards: readonly ShardRecord[],
  streams: ReadonlyMap<string, StreamFacts>,
): readonly LookedAt[] {
  return shards.flatMap(({ stream, epoch, checkpoint = firstEntryId }) => {
    const facts = streams.get(stream);
    if (facts === undefined || !owned.some((each) => each.stream === stream && each.isRead)) return [];
    return [{ stream, epoch, checkpoint, lastId: facts.lastId, added: facts.added }];
  });
}

function shortestWindow(streams: Iterable<StreamFacts>, nowMs: number): number | undefined {
  const ages = [...streams].flatMap(({ firstId }) =>
    firstId === undefined ? [] : [Math.max(0, nowMs - Number(firstId.split("-")[0])) / 1000],
  );
  return ages.length === 0 ? undefined : Math.min(...ages);
}
