import { addedAtMs, compareEntryIds, firstEntryId } from "../change/entry-id.ts";
import type { MaintenanceStore, ShardRecord } from "../sink/maintenance-store.ts";
import { ask, pairs, valueOf, type StreamRedis } from "../source/ask.ts";
import type { StreamFacts } from "../source/stream-facts.ts";

export interface RetireFacts {
  readonly shards: readonly ShardRecord[];
  readonly streams: ReadonlyMap<string, StreamFacts>;
  /** The pipeline's own group. */
  readonly group: string;
  readonly retainAgeMs: number;
  readonly nowMs: number;
}

/**
 * Shards of earlier generations that nothing needs any more: the newest generation has begun to be applied, theirs is durably applied to
 * its end, older than what is kept for replays, and read by no other group.
 */
export function retirable(facts: RetireFacts): readonly ShardRecord[] {
  const newest = newestGeneration(facts.shards);
  const begun = facts.shards.some((each) => each.generation === newest && each.checkpoint !== undefined);
  if (!begun) return [];
  return facts.shards.filter((shard) => {
    if (shard.retired || shard.generation === newest) return false;
    const stream = facts.streams.get(shard.stream);
    if (stream === undefined) return true;
    const isOld = addedAtMs(stream.lastId) < facts.nowMs - facts.retainAgeMs;
    return isOld && isAppliedToEnd(shard, stream) && !isNeededElsewhere(stream, facts.group);
  });
}

/** Retired shards whose stream is still there, and that their owner has let go: its reader would make the stream anew. */
export function removable(facts: RetireFacts): readonly StreamFacts[] {
  return facts.shards.flatMap((shard) => {
    const stream = facts.streams.get(shard.stream);
    if (!shard.retired || shard.owner !== undefined || stream === undefined) return [];
    return isAppliedToEnd(shard, stream) && !isNeededElsewhere(stream, facts.group) ? [stream] : [];
  });
}

export function newestGeneration(shards: readonly { readonly generation: number }[]): number {
  return shards.reduce((newest, { generation }) => Math.max(newest, generation), 0);
}

/** A stream that never had an entry is at its end, whatever the checkpoint. */
function isAppliedToEnd(shard: ShardRecord, { lastId }: StreamFacts): boolean {
  return lastId === firstEntryId || lastId === shard.checkpoint;
}

function isNeededElsewhere(stream: StreamFacts, group: string): boolean {
  return stream.groups.some(
    ({ name, firstPendingId, lastDeliveredId }) =>
      name !== group && (firstPendingId !== undefined || compareEntryIds(lastDeliveredId, stream.lastId) < 0),
  );
}

export interface Retired {
  readonly marked: readonly string[];
  readonly removed: readonly string[];
}

/**
 * In two rounds: the owner's member marks the shard, whereupon it is let go; then any member removes the stream. A crash in between only
 * leaves the second to somebody else.
 */
export async function retire(
  redis: StreamRedis,
  store: MaintenanceStore,
  facts: RetireFacts,
  owned: ReadonlySet<string>,
): Promise<Retired> {
  const marked: string[] = [];
  const removed: string[] = [];
  for (const shard of retirable(facts)) {
    if (owned.has(shard.stream) && (await store.retire(shard))) marked.push(shard.stream);
  }
  for (const { stream, lastId } of removable(facts)) {
    if (await removeUnchanged(redis, stream, lastId)) removed.push(stream);
  }
  return { marked, removed };
}

/** Removes the stream unless it was written to since it was looked at, or is just now. */
async function removeUnchanged(redis: StreamRedis, stream: string, lastId: string): Promise<boolean> {
  const [, extent] = await ask(redis, [
    ["WATCH", stream],
    ["XINFO", "STREAM", stream],
  ]);
  if (extent instanceof Error || String(pairs(extent).get("last-generated-id")) !== lastId) {
    await ask(redis, [["UNWATCH"]]);
    return false;
  }
  const replies = await ask(redis, [["MULTI"], ["UNLINK", stream], ["EXEC"]]);
  // Null: somebody wrote to the stream in between.
  return valueOf(replies[2]) !== null;
}
