import { compareEntryIds, firstEntryId } from "../change/entry-id.ts";
import type { StreamExtent } from "./stream-extent.ts";

interface Place {
  readonly id: string | undefined;
  /** Entries at or before it, removed ones included. */
  readonly entries: bigint;
}

/** The highest that maintenance has seen of the stream. */
interface Seen {
  readonly lastId: string;
  readonly added: bigint;
}

/** What is known when a shard begins. */
export interface StartingFacts {
  readonly checkpoint: Place;
  /** Undefined: there is no such stream. */
  readonly extent: StreamExtent | undefined;
  /** Undefined: nothing, or not since the shard last began anew. */
  readonly seen: Seen | undefined;
}

export type StartingPoint =
  /** What follows the checkpoint is there. */
  | { readonly kind: "continue"; readonly checkpoint: Place }
  /** Nothing is lost by what is known, but the checkpoint is of another stream: all that this one holds is applied, guarded. */
  | { readonly kind: "anew"; readonly checkpoint: Place; readonly reason: string }
  /** Entries were lost, or may have been, before they were applied (I8). */
  | {
      readonly kind: "gap";
      readonly message: string;
      /** Undefined: not known. */
      readonly lost: bigint | undefined;
      /** Where the shard goes on once the loss is accepted. */
      readonly goOnFrom: Place;
    };

/** Where a shard begins, from its checkpoint, its stream, and what was seen of it before. */
export function startingPoint({ checkpoint, extent, seen }: StartingFacts): StartingPoint {
  const { id, entries } = checkpoint;
  const removed = removedOf(extent);
  const start = { id: id === undefined ? undefined : firstEntryId, entries: removed };
  if (isForeign(checkpoint, extent)) return begunAnew({ checkpoint, extent, seen }, start);
  const since = id ?? "its beginning";
  if (seen !== undefined && seen.added > entries && isGone(extent, seen)) {
    const goOnFrom = id === undefined ? start : checkpoint;
    const lost = atLeast(seen.added - (extent?.added ?? 0n));
    const message = `entries after ${since} were in the stream and are gone: it was rolled back or made anew`;
    return { kind: "gap", message, lost, goOnFrom };
  }
  const lost = removed - entries;
  const isBehind = id === undefined || (isPast(extent, id) && extent?.lastId !== id);
  if (isBehind && lost > 0n) {
    const message = `${lost} entries after ${since} were removed before they were applied`;
    return { kind: "gap", message, lost, goOnFrom: { id, entries: removed } };
  }
  // The same again must be the same object: a place that is put elsewhere counts as progress, and hides the error of a first change.
  const moved = id === undefined && entries !== removed;
  return { kind: "continue", checkpoint: moved ? start : checkpoint };
}

/** The stream is not the one that the checkpoint was made in, or lost what the checkpoint covers. */
function begunAnew({ checkpoint, extent, seen }: StartingFacts, start: Place): StartingPoint {
  const { id, entries } = checkpoint;
  const unapplied = seen === undefined ? 0n : seen.added - entries;
  const what = "the stream was rolled back or made anew";
  if (unapplied > 0n) {
    const message = `${what}, and ${unapplied} entries after ${id} that were in it are gone`;
    return { kind: "gap", message, lost: unapplied, goOnFrom: start };
  }
  const removed = removedOf(extent);
  // Those removed from a stream that only lost its end are from before the checkpoint; of another stream nobody knows them.
  const isOther =
    id !== undefined && isPast(extent, id) && compareEntryIds(extent?.lastId ?? firstEntryId, id) > 0;
  if (removed > (isOther ? 0n : entries)) {
    const message = `${what}, and ${removed} entries were removed from it, which may not have been applied`;
    return { kind: "gap", message, lost: undefined, goOnFrom: start };
  }
  return {
    kind: "anew",
    checkpoint: start,
    reason: `${what}; all that it holds is applied again, guarded by position`,
  };
}

/** The stream's ids have not come to the checkpoint, or have passed it without the entries up to it. */
function isForeign(checkpoint: Place, extent: StreamExtent | undefined): boolean {
  const { id, entries } = checkpoint;
  if (id === undefined || id === firstEntryId) return false;
  if (extent === undefined || compareEntryIds(extent.lastId, id) < 0) return true;
  if (extent.added < entries) return true;
  // All before the first entry was removed, so that many were; otherwise the checkpoint's own entry is there, unless it was deleted.
  if (isPast(extent, id)) return removedOf(extent) < entries;
  const deleted = extent.maxDeletedId !== undefined && compareEntryIds(extent.maxDeletedId, id) >= 0;
  return extent.checkpointPresent === false && !deleted;
}

/** All that the stream holds comes after the id. */
function isPast(extent: StreamExtent | undefined, id: string): boolean {
  return extent?.firstId === undefined || compareEntryIds(extent.firstId, id) > 0;
}

/** The stream's end as it was seen is not in it any more: unapplied, it cannot have been trimmed without a gap. */
function isGone(extent: StreamExtent | undefined, { lastId, added }: Seen): boolean {
  // A stream's last id and count only grow.
  if (extent === undefined || extent.added < added || compareEntryIds(extent.lastId, lastId) < 0) return true;
  if (extent.seenPresent !== false || isPast(extent, lastId)) return false;
  return extent.maxDeletedId === undefined || compareEntryIds(extent.maxDeletedId, lastId) < 0;
}

function removedOf(extent: StreamExtent | undefined): bigint {
  return extent === undefined ? 0n : extent.added - extent.length;
}

function atLeast(lost: bigint): bigint | undefined {
  return lost > 0n ? lost : undefined;
}
