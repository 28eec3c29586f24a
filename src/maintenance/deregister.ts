import type { ProgressListener } from "../observe/progress.ts";
import { ask, type StreamRedis } from "../source/ask.ts";
import type { StreamFacts } from "../source/stream-facts.ts";
import type { OwnedShard } from "./maintenance.ts";

/** Consumers of a shard's group that are not its owner: members that are gone, or that had the shard before. */
export function leftoverConsumers(consumers: readonly string[], member: string): readonly string[] {
  return consumers.filter((name) => name !== member);
}

/**
 * Lets registered be running: asks each owned shard's reader to delete the consumers that must not be there, and registers this
 * member where Redis had no memory for it when the shard was taken.
 *
 * Nothing is deleted from here by XGROUP DELCONSUMER: by the time the command arrives the shard may have been handed over, and the
 * consumer of its new owner would go. The reader does it between two of its reads, as long as it reads.
 */
export class Deregistration {
  private readonly member: string;
  private readonly progress: ProgressListener;
  private readonly asked = new Map<string, readonly string[]>();

  constructor(member: string, progress: ProgressListener) {
    this.member = member;
    this.progress = progress;
  }

  /** Those asked for in the round before that are gone now are told as removed. */
  removeOthers(owned: readonly OwnedShard[], facts: ReadonlyMap<string, StreamFacts>): void {
    for (const shard of owned) {
      const seen = facts.get(shard.stream);
      if (seen === undefined) continue;
      const names = leftoverConsumers(seen.consumers, this.member);
      const gone = (this.asked.get(shard.stream) ?? []).filter((name) => !names.includes(name));
      if (gone.length > 0) this.progress.consumersRemoved(shard.stream, gone);
      this.asked.set(shard.stream, names);
      if (names.length > 0) shard.removeConsumers(names);
    }
    const streams = new Set(owned.map(({ stream }) => stream));
    for (const stream of this.asked.keys()) if (!streams.has(stream)) this.asked.delete(stream);
  }

  /** Does nothing where Redis still has no memory for it, nor where the group is missing: the shard's reader makes both. */
  async addMissing(
    redis: StreamRedis,
    group: string,
    owned: readonly OwnedShard[],
    facts: ReadonlyMap<string, StreamFacts>,
  ): Promise<void> {
    const missing = owned.filter(
      ({ stream }) => facts.get(stream)?.consumers.includes(this.member) === false,
    );
    await ask(
      redis,
      missing.map(({ stream }) => ["XGROUP", "CREATECONSUMER", stream, group, this.member]),
    );
  }
}
