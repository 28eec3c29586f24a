import { compareEntryIds, firstEntryId } from "../change/entry-id.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { StreamExtent } from "./stream-extent.ts";

interface Place {
  readonly id: string | undefined;
  /** Entries at or before it, removed ones included. */
  readonly entries: bigint;
}

export interface Extent extends StreamExtent {
  /** The checkpoint's entry is in the stream; undefined: not known. */
  readonly checkpointPresent?: boolean;
}

/** Where a shard begins, from its checkpoint and its stream. Throws STREAM_GAP when entries were lost in between (I8). */
export function startingPoint(
  stream: string,
  checkpoint: Place,
  extent: Extent | undefined,
): { readonly checkpoint: Place; readonly warning: string | undefined } {
  const removed = extent === undefined ? 0n : extent.added - extent.length;
  if (checkpoint.id === undefined) {
    const warning = removed > 0n ? `${removed} entries were removed before the first start` : undefined;
    // The same again must be the same object: a place that is put elsewhere counts as progress, and hides the error of a first change.
    const same = checkpoint.entries === removed;
    return { checkpoint: same ? checkpoint : { id: undefined, entries: removed }, warning };
  }
  const lastId = extent?.lastId ?? firstEntryId;
  const behind = extent?.firstId === undefined || compareEntryIds(extent.firstId, checkpoint.id) > 0;
  if (compareEntryIds(lastId, checkpoint.id) < 0 || isMadeAnew(checkpoint, extent, behind)) {
    const warning =
      "the stream was rolled back or made anew; all that it holds is applied again, guarded by position";
    return { checkpoint: { id: firstEntryId, entries: removed }, warning };
  }
  const lost = removed - checkpoint.entries;
  if (behind && lost > 0n && lastId !== checkpoint.id) {
    throw new SluiceError(
      "STREAM_GAP",
      `${lost} entries after ${checkpoint.id} were removed before they were applied`,
      {
        place: { stream, entryId: checkpoint.id },
      },
    );
  }
  return { checkpoint, warning: undefined };
}

/** A stream whose ids have passed the checkpoint, but that has not held the entries up to it. */
function isMadeAnew(checkpoint: Place, extent: Extent | undefined, behind: boolean): boolean {
  if (extent === undefined || checkpoint.id === firstEntryId) return false;
  if (extent.added < checkpoint.entries) return true;
  // All before the first entry was removed, so that many were; otherwise the checkpoint's own entry is there, unless it was deleted.
  if (behind) return extent.added - extent.length < checkpoint.entries;
  const { maxDeletedId } = extent;
  const deleted = maxDeletedId !== undefined && compareEntryIds(maxDeletedId, checkpoint.id ?? "") >= 0;
  return extent.checkpointPresent === false && !deleted;
}
