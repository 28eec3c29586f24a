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

/** Entries that may stay beyond the limit: about a node, which is not taken apart anyway. */
const precision = 100;

const never = async (): Promise<boolean> => false;

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
    const remove = async ({ stream, shard }: TrimPlan, minId: string, relieved = never) => {
      const { redis, stopping, stands } = round;
      const enough = async (): Promise<boolean> => (await relieved()) || !(await stands(shard));
      if (!(await stands(shard))) return;
      const limits = { mostCommands, stopping, enough };
      const removed = await trimStream(redis, stream, minId, limits);
      if (removed === 0) return;
      trimmed.set(stream, (trimmed.get(stream) ?? 0) + removed);
      this.options.progress.entriesTrimmed(stream, removed);
    };
    for (const plan of plans) {
      if (plan.bound !== undefined) await remove(plan, plan.bound.minId);
    }
    const relieved = async (): Promise<boolean> => !(await this.isShort(round));
    for (const plan of plans) {
      if (round.stopping.aborted || (await relieved())) break;
      if (plan.underPressure !== undefined) await remove(plan, plan.underPressure.minId, relieved);
    }
    return trimmed;
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
