import type { ShardRecord } from "../sink/maintenance-store.ts";
import type { StreamFacts } from "../source/stream-facts.ts";

/**
 * Entries of a shard that vanished before they were applied, from between others, where no gap shows: at the stream's end everything that was
 * ever added must have been counted. Undefined while the shard is not at the stream's end.
 */
export function uncountedEntries(
  shard: Pick<ShardRecord, "checkpoint" | "entries">,
  stream: Pick<StreamFacts, "lastId" | "added">,
): bigint | undefined {
  return shard.checkpoint === stream.lastId ? stream.added - shard.entries : undefined;
}
