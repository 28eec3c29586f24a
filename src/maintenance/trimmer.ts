import { firstEntryId } from "../change/entry-id.ts";
import type { Config } from "../config/config.ts";
import type { ProgressListener } from "../observe/progress.ts";
import type { ShardRecord } from "../sink/maintenance-store.ts";
import type { StreamRedis } from "../source/ask.ts";
import type { StreamFacts } from "../source/stream-facts.ts";
import { readUsedMemory, type RedisFacts } from "../source/stream-info.ts";
import { CheckpointSamples } from "./checkpoint-samples.ts";
import { excessMemory } from "./memory.ts";
import {
  entryLimit,
  meanEntryBytes,
  pageForward,
  retainedFrom,
  surplus,
  type EntryLimit,
} from "./retention.ts";
import {
  removesAny,
  trimBound,
  trimStream,
  whyNothing,
  type RetainedFrom,
  type TrimBound,
  type TrimFacts,
  type TrimLimit,
  type TrimOptions,
} from "./trim.ts";

export type TrimmerConfig = Pick<
  Config,
  "group" | "retainAgeMs" | "retainEntries" | "retainBytes" | "memoryHigh"
>;

export interface TrimmerOptions {
  readonly config: TrimmerConfig;
  readonly progress: Pick<ProgressListener, "entriesTrimmed">;
}

export interface TrimRound {
  readonly redis: StreamRedis;
  /** Whose streams are to be trimmed, with durable checkpoints. */
  readonly shards: readonly ShardRecord[];
  readonly streams: ReadonlyMap<string, StreamFacts>;
  readonly server: Pick<RedisFacts, "maxmemory">;
  /** Redis's clock, in milliseconds since 1970. */
  readonly nowMs: number;
  readonly stopping: AbortSignal;
  /** The shard still stands where it did, or beyond; asked right before entries go. */
  readonly stands: (shard: ShardRecord) => Promise<boolean>;
}

/** What may go from one stream. */
export interface TrimPlan {
  readonly stream: string;
  readonly shard: ShardRecord;
  /** By retention; undefined: nothing. */
  readonly bound: TrimBound | undefined;
  /** What may go when memory is short; undefined: nothing. */
  readonly underPressure: TrimBound | undefined;
  /** Why the oldest entry that stays does so. */
  readonly reason: TrimLimit;
}

/** Commands of one round for one stream: at most a million entries. */
const mostCommands = 100;

/** Entries that a stream gives in its turn while memory is short, and turns of one round. */
const turnEntries = 2_000;
const mostTurns = 500;

/** Entries that may stay beyond the limit: about a node, which is not taken apart anyway. */
const precision = 100;

type Limits = Omit<TrimOptions, "stopping" | "enough"> & { readonly minId: string };

/** Takes from the streams what is applied and kept by nothing; more of it while Redis's memory is short (I6). */
export class Trimmer {
  private readonly options: TrimmerOptions;
  private readonly samples = new CheckpointSamples();

  constructor(options: TrimmerOptions) {
    this.options = options;
  }

  async plan(round: TrimRound): Promise<TrimPlan[]> {
    const plans: TrimPlan[] = [];
    for (const shard of round.shards) {
      const stream = round.streams.get(shard.stream);
      if (stream === undefined || round.stopping.aborted) continue;
      const retained = await this.retained(round, shard, stream);
      const facts: TrimFacts = {
        checkpoint: shard.checkpoint,
        stream,
        group: this.options.config.group,
        retained,
      };
      const bound = trimBound(facts);
      plans.push({
        stream: shard.stream,
        shard,
        bound: removesAny(bound, stream.firstId) ? bound : undefined,
        underPressure: trimBound({ ...facts, retained: undefined }),
        reason: bound?.reason ?? whyNothing(facts),
      });
    }
    this.samples.forget(
      new Map(round.shards.map(({ stream }) => [stream, round.streams.get(stream)?.firstId])),
    );
    return plans;
  }

  /** Returns how many entries went, by stream. None of a shard that was put back since: they are needed again (I6). */
  async trim(round: TrimRound, plans: readonly TrimPlan[]): Promise<ReadonlyMap<string, number>> {
    const trimmed = new Map<string, number>();
    for (const plan of plans) {
      if (plan.bound !== undefined)
        await this.remove(round, plan, { minId: plan.bound.minId, mostCommands }, trimmed);
    }
    await this.relieve(round, plans, trimmed);
    return trimmed;
  }

  /** A little of each stream in turn, as long as memory is short: no shard gives all of its replay window for the others. */
  private async relieve(
    round: TrimRound,
    plans: readonly TrimPlan[],
    trimmed: Map<string, number>,
  ): Promise<void> {
    let left = plans.filter(({ underPressure }) => underPressure !== undefined);
    for (let turn = 0; turn < mostTurns && left.length > 0; turn++) {
      const going: TrimPlan[] = [];
      for (const plan of left) {
        if (round.stopping.aborted || !(await this.isShort(round))) return;
        const minId = plan.underPressure?.minId ?? firstEntryId;
        const limits = { minId, mostCommands: 1, mostAtOnce: turnEntries };
        if ((await this.remove(round, plan, limits, trimmed)) > 0) going.push(plan);
      }
      left = going;
    }
  }

  private async remove(
    { redis, stopping, stands }: TrimRound,
    { stream, shard }: TrimPlan,
    { minId, ...limits }: Limits,
    trimmed: Map<string, number>,
  ): Promise<number> {
    if (!(await stands(shard))) return 0;
    const enough = async (): Promise<boolean> => !(await stands(shard));
    const removed = await trimStream(redis, stream, minId, { ...limits, stopping, enough });
    if (removed === 0) return 0;
    trimmed.set(stream, (trimmed.get(stream) ?? 0) + removed);
    this.options.progress.entriesTrimmed(stream, removed);
    return removed;
  }

  private async isShort({ redis, server }: TrimRound): Promise<boolean> {
    const { memoryHigh } = this.options.config;
    if (memoryHigh.endsWith("%") && server.maxmemory === 0) return false;
    return excessMemory(memoryHigh, { ...server, usedMemory: await readUsedMemory(redis) }) > 0;
  }

  private async retained(
    round: TrimRound,
    shard: ShardRecord,
    stream: StreamFacts,
  ): Promise<RetainedFrom | undefined> {
    const { config } = this.options;
    if (shard.checkpoint === undefined) return undefined;
    this.samples.note(shard.stream, { id: shard.checkpoint, entries: shard.entries });
    const meanBytes =
      config.retainBytes === undefined ? undefined : await meanEntryBytes(round.redis, stream);
    const limit = entryLimit(config, meanBytes);
    const beyond =
      limit === undefined ? undefined : await this.newestBeyond(round.redis, shard, stream, limit, meanBytes);
    return retainedFrom({ nowMs: round.nowMs, retainAgeMs: config.retainAgeMs, limit, beyond });
  }

  /** The newest entry that is outside the limit, as far as a sample and some pages tell. */
  private async newestBeyond(
    redis: StreamRedis,
    shard: ShardRecord,
    stream: StreamFacts,
    limit: EntryLimit,
    meanBytes: number | undefined,
  ): Promise<string | undefined> {
    const over = surplus(shard, stream, limit);
    if (over === 0) return undefined;
    const gone = stream.added - BigInt(stream.length);
    const sample = this.samples.newestUpTo(shard.stream, shard.entries - BigInt(limit.entries));
    const inStream = sample !== undefined && sample.entries > gone ? sample : undefined;
    const left = over - (inStream === undefined ? 0 : Number(inStream.entries - gone));
    if (inStream !== undefined && left <= Math.max(precision, limit.entries / 10)) return inStream.id;
    return await pageForward(redis, shard.stream, { after: inStream?.id, count: left, meanBytes });
  }
}
