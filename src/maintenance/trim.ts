import { compareEntryIds, firstEntryId } from "../change/entry-id.ts";
import { sleep } from "../runtime/sleep.ts";
import { ask, valueOf, type StreamRedis } from "../source/ask.ts";
import type { StreamFacts } from "../source/stream-facts.ts";

/** What keeps the first entry that stays. */
export type TrimLimit =
  | { readonly by: "not-applied" }
  | { readonly by: "no-group" }
  | { readonly by: "rolled-back" }
  | { readonly by: "checkpoint" }
  | { readonly by: "group"; readonly group: string }
  | { readonly by: "age" | "entries" | "bytes" };

/** Entries with an id below `minId` may go. */
export interface TrimBound {
  readonly minId: string;
  readonly reason: TrimLimit;
}

export interface TrimFacts {
  /** Durable in the read database; undefined: nothing is. */
  readonly checkpoint: string | undefined;
  readonly stream: Pick<StreamFacts, "lastId" | "groups">;
  /** The pipeline's own group. */
  readonly group: string;
  /** What retention keeps; undefined: nothing, because memory is short or no limit is set. */
  readonly retained: RetainedFrom | undefined;
}

export interface RetainedFrom {
  readonly id: string;
  readonly by: "age" | "entries" | "bytes";
}

/**
 * Which entries may go: those that are durably applied here, that every other consumer group has acknowledged, and that retention does
 * not keep (I6). Undefined when none may, whatever the stream holds.
 *
 * The pipeline's own group binds too. It only mirrors the checkpoint, but it lies in Redis beside the entries: should Redis come back
 * with an older state, ids may be given again that the checkpoint has passed, and the group, which went back with the stream, is then
 * below them until the shard's owner has begun again.
 */
export function trimBound({ checkpoint, stream, group, retained }: TrimFacts): TrimBound | undefined {
  if (checkpoint === undefined) return undefined;
  if (compareEntryIds(stream.lastId, checkpoint) < 0) return undefined;
  if (!stream.groups.some(({ name }) => name === group)) return undefined;
  let bound: TrimBound = { minId: entryIdAfter(checkpoint), reason: { by: "checkpoint" } };
  for (const { name, lastDeliveredId, firstPendingId } of stream.groups) {
    const reason = name === group ? ({ by: "checkpoint" } as const) : ({ by: "group", group: name } as const);
    bound = lower(bound, { minId: entryIdAfter(lastDeliveredId), reason });
    if (firstPendingId !== undefined) bound = lower(bound, { minId: firstPendingId, reason });
  }
  return retained === undefined ? bound : lower(bound, { minId: retained.id, reason: { by: retained.by } });
}

/** Why nothing at all may go, where `trimBound` is undefined. */
export function whyNothing({ checkpoint, stream }: TrimFacts): TrimLimit {
  if (checkpoint === undefined) return { by: "not-applied" };
  return { by: compareEntryIds(stream.lastId, checkpoint) < 0 ? "rolled-back" : "no-group" };
}

function lower(left: TrimBound, right: TrimBound): TrimBound {
  return compareEntryIds(right.minId, left.minId) < 0 ? right : left;
}

const highestSequence = "18446744073709551615";

/** The lowest id behind this one. */
export function entryIdAfter(id: string): string {
  const [milliseconds = "0", sequence = "0"] = id.split("-");
  if (sequence === highestSequence) return `${BigInt(milliseconds) + 1n}-0`;
  return `${milliseconds}-${BigInt(sequence) + 1n}`;
}

/** The oldest entry would go. */
export function removesAny(bound: TrimBound | undefined, firstId: string | undefined): bound is TrimBound {
  return bound !== undefined && firstId !== undefined && compareEntryIds(firstId, bound.minId) < 0;
}

/** Entries of one command; Redis serves nobody else meanwhile. */
const mostAtOnce = 10_000;

/** Pause between two commands, in milliseconds: others' commands come first. */
const pauseMs = 2;

export interface TrimOptions {
  readonly mostCommands: number;
  /** Asked before each command but the first; true ends it. */
  readonly enough?: () => Promise<boolean>;
  /** Entries of one command; default as many as Redis can remove unnoticed. */
  readonly mostAtOnce?: number;
  readonly stopping?: AbortSignal;
}

/**
 * Removes the entries below the bound, oldest first, in bounded pieces; returns how many went. By id and never by length (MAXLEN): an
 * entry that is added between the decision and the command would push out one that nobody has applied.
 *
 * `~` removes whole nodes of the stream only, which costs Redis next to nothing: up to one node (100 entries, or what Redis's
 * `stream-node-max-bytes` says) that could go stays, also under memory pressure.
 */
export async function trimStream(
  redis: StreamRedis,
  stream: string,
  minId: string,
  options: TrimOptions,
): Promise<number> {
  let removed = 0;
  for (let index = 0; index < options.mostCommands; index++) {
    if (index > 0) await sleep(pauseMs, options.stopping);
    if (options.stopping?.aborted === true) break;
    if (index > 0 && (await options.enough?.()) === true) break;
    const limit = options.mostAtOnce ?? mostAtOnce;
    const [reply] = await ask(redis, [["XTRIM", stream, "MINID", "~", minId, "LIMIT", limit]]);
    const gone = Number(valueOf(reply));
    removed += gone;
    if (gone === 0) break;
  }
  return removed;
}

/** How many entries lie below the bound, counted as far as `most`. */
export async function countBelow(
  redis: StreamRedis,
  stream: string,
  minId: string,
  most: number,
): Promise<number> {
  let counted = 0;
  let from: string = firstEntryId;
  while (counted < most) {
    const [reply] = await ask(redis, [["XRANGE", stream, from, `(${minId}`, "COUNT", 100]]);
    const entries = valueOf(reply) as readonly (readonly [id: string])[];
    counted += entries.length;
    const last = entries.at(-1)?.[0];
    if (entries.length < 100 || last === undefined) break;
    from = `(${last}`;
  }
  return counted;
}
