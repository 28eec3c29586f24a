import { compareEntryIds, firstEntryId } from "../change/entry-id.ts";
import type { Change } from "../change/change.ts";
import { Decoder } from "../decode/decode-chunk.ts";
import { Positions } from "../decode/positions.ts";
import type { LogPlace } from "../decode/log-order.ts";
import { baseOf, type DecisionStore, type RewoundStop } from "../sink/decision-store.ts";
import type { StreamRedis } from "../source/ask.ts";
import { firstEntryAfter } from "../source/count-entries.ts";
import { entriesBackwards } from "../source/entries-backwards.ts";

export interface RestoredSinceOptions {
  readonly redis: StreamRedis;
  readonly decisions: DecisionStore;
  readonly nullKey: string;
  /** The first entry that a shard stopped at. */
  readonly stop: RewoundStop;
}

/**
 * The first entry of the restored primary in any stream, the beginning of its millisecond, since each stream counts within it by itself:
 * one Debezium Server was stopped before the other began.
 *
 * The shard that noticed first need not have been the first to meet one: a shard that had applied little cannot notice, and what it
 * applied before must count anew too, or a TRUNCATE of before makes it look old (I4). So every stream is gone through backwards from
 * the entry that was noticed to a change of the former primary. All streams together are in the order of the log, so after the place
 * where the stopped shard stood come only places behind it, until the restored primary's, which are all before it and committed later.
 */
export async function restoredSince(options: RestoredSinceOptions): Promise<string> {
  const { redis, decisions, stop } = options;
  const streams = await decisions.streams();
  let former: string = firstEntryId;
  for (const stream of streams) former = await newestFormer(options, stream, former);
  let since = stop.entryId;
  for (const stream of streams) {
    const first = await firstEntryAfter(redis, stream, former);
    if (first !== undefined && compareEntryIds(first, since) < 0) since = first;
  }
  const begun = since.replace(/-\d+$/, "-0");
  return compareEntryIds(begun, former) > 0 ? begun : since;
}

/** The stream's last entry of the former primary, or `known` when that is later. Entries that are no change tell nothing. */
async function newestFormer(
  { redis, decisions, nullKey, stop }: RestoredSinceOptions,
  stream: string,
  known: string,
): Promise<string> {
  const base = baseOf(await decisions.bases(stream));
  const positions = Positions.ofReplay(0n);
  const decoder = new Decoder({ stream, nullKey, includes: () => true, base, positions });
  for await (const entry of entriesBackwards(redis, stream, stop.entryId)) {
    const id = entry.idOf(0);
    if (compareEntryIds(id, known) <= 0) return known;
    const [change] = decoder.decode(entry).changes;
    if (change !== undefined && !isRestored(change, stop)) return id;
  }
  return known;
}

/** What is sent again after a crash comes from an earlier place too, but was committed earlier. */
function isRestored(change: Pick<Change, "commitLsn" | "committedAtMs">, stood: LogPlace): boolean {
  return change.commitLsn < stood.commitLsn && change.committedAtMs > stood.committedAtMs;
}
