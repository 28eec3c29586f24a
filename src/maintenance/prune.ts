import type { MaintenanceStore, Prunable } from "../sink/maintenance-store.ts";
import { addedAtMs } from "../change/entry-id.ts";
import type { StreamFacts } from "../source/stream-facts.ts";

/** How much the clocks of Redis and of the read database may differ, and the least age of what is pruned. */
const marginMs = 3_600_000;

/** Statements of one round for each kind; each removes ten thousand rows at most. */
const mostStatements = 5;

/**
 * A tombstone keeps an older insert of its key from bringing the row back. It can go once every entry that any stream still holds was
 * added after the delete was applied: this is the time before which that is so. Then no insert is left either that could need what a key
 * change saved.
 */
export function prunableBeforeMs(streams: Iterable<Pick<StreamFacts, "firstId">>, nowMs: number): number {
  let oldest = nowMs;
  for (const { firstId } of streams) {
    if (firstId !== undefined) oldest = Math.min(oldest, addedAtMs(firstId));
  }
  return oldest - marginMs;
}

type PruneStore = Pick<MaintenanceStore, "prune">;

/** Returns how many tombstones were removed. */
export async function prune(store: PruneStore, beforeMs: number, stopping: AbortSignal): Promise<number> {
  await pruneKind(store, "saved_image", beforeMs, stopping);
  return await pruneKind(store, "tombstone", beforeMs, stopping);
}

async function pruneKind(
  store: PruneStore,
  what: Prunable,
  beforeMs: number,
  stopping: AbortSignal,
): Promise<number> {
  let pruned = 0;
  for (let index = 0; index < mostStatements && !stopping.aborted; index++) {
    const removed = await store.prune(what, { ageSeconds: marginMs / 1000, beforeMs });
    pruned += removed;
    if (removed === 0) break;
  }
  return pruned;
}
