import { compareEntryIds, firstEntryId } from "../change/entry-id.ts";
import { ask, idOf, listOf, valueOf, type StreamRedis } from "../source/ask.ts";
import type { StreamFacts } from "../source/stream-facts.ts";
import type { NumberedEntry } from "./checkpoint-samples.ts";
import { entryIdAfter, type RetainedFrom } from "./trim.ts";

export interface RetentionOptions {
  readonly retainAgeMs: number;
  readonly retainEntries: number | undefined;
  readonly retainBytes: number | undefined;
}

/** Most applied entries that are to stay, and which option says so. */
export interface EntryLimit {
  readonly entries: number;
  readonly by: "entries" | "bytes";
}

/** The stricter of both limits; bytes are counted as entries of the stream's mean size. */
export function entryLimit(options: RetentionOptions, meanBytes: number | undefined): EntryLimit | undefined {
  const byEntries =
    options.retainEntries === undefined
      ? undefined
      : { entries: options.retainEntries, by: "entries" as const };
  if (options.retainBytes === undefined || meanBytes === undefined) return byEntries;
  const byBytes = { entries: Math.floor(options.retainBytes / Math.max(1, meanBytes)), by: "bytes" as const };
  return byEntries !== undefined && byEntries.entries <= byBytes.entries ? byEntries : byBytes;
}

/** How many applied entries the stream holds beyond the limit; fewer where unapplied ones were deleted by someone. */
export function surplus(
  applied: Pick<NumberedEntry, "entries">,
  stream: Pick<StreamFacts, "added" | "length">,
  limit: EntryLimit,
): number {
  const removed = stream.added - BigInt(stream.length);
  return Math.max(0, Number(applied.entries - removed) - limit.entries);
}

/**
 * The first entry that retention keeps: one that every limit keeps. `beyond`: the newest entry that is known to be outside the limit of
 * entries; without it that limit keeps all.
 */
export function retainedFrom(facts: {
  readonly nowMs: number;
  readonly retainAgeMs: number;
  readonly limit: EntryLimit | undefined;
  readonly beyond: string | undefined;
}): RetainedFrom {
  const { nowMs, retainAgeMs, limit, beyond } = facts;
  const byAge: RetainedFrom = { id: `${Math.max(0, nowMs - retainAgeMs + 1)}-0`, by: "age" };
  if (limit === undefined || beyond === undefined) return byAge;
  const id = entryIdAfter(beyond);
  return compareEntryIds(id, byAge.id) > 0 ? { id, by: limit.by } : byAge;
}

/** Entries of one page, pages of one round, and bytes of a page that are aimed at: they are read only for their ids. */
const pageEntries = 100;
const mostPages = 100;
const pageBytes = 2 ** 20;

/**
 * The id of the `count`-th entry behind `after`, or of one before it: each round goes only so far. Read from the front, so that only
 * what is about to go is read, and the next round goes on where this one ended. Needed where the samples do not tell: after a start, and
 * after a burst.
 */
export async function pageForward(
  redis: StreamRedis,
  stream: string,
  {
    after,
    count,
    meanBytes,
  }: {
    readonly after: string | undefined;
    readonly count: number;
    readonly meanBytes: number | undefined;
  },
): Promise<string | undefined> {
  const page = Math.max(1, Math.min(pageEntries, Math.floor(pageBytes / Math.max(1, meanBytes ?? 1))));
  let last = after;
  let left = count;
  for (let index = 0; index < mostPages && left > 0; index++) {
    const start = last === undefined ? firstEntryId : `(${last}`;
    const [reply] = await ask(redis, [["XRANGE", stream, start, "+", "COUNT", Math.min(page, left)]]);
    const entries = listOf(valueOf(reply));
    last = idOf(entries.at(-1)) ?? last;
    left -= entries.length;
    if (entries.length === 0) break;
  }
  return last;
}

/** Memory of one entry, estimated by Redis from some nodes; undefined when it does not tell. */
export async function meanEntryBytes(
  redis: StreamRedis,
  { stream, length }: Pick<StreamFacts, "stream" | "length">,
): Promise<number | undefined> {
  if (length === 0) return undefined;
  const [reply] = await ask(redis, [["MEMORY", "USAGE", stream, "SAMPLES", 20]]);
  return reply === null || reply instanceof Error ? undefined : Number(reply) / length;
}
