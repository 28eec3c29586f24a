import type { Warning } from "../observe/progress.ts";
import type { ShardRecord } from "../sink/maintenance-store.ts";
import type { StreamFacts } from "../source/stream-facts.ts";

/** How long a finding is told, in milliseconds. */
const toldMs = 3_600_000;

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

/** Remembers what was found for an hour, since the shard's count is set right at once. */
export class DeletedEntries {
  private readonly found = new Map<string, { readonly entries: bigint; readonly atMs: number }>();

  /** `nowMs`: of any clock that only goes forward. False: that much was already told. */
  note(stream: string, entries: bigint, nowMs: number): boolean {
    if (this.found.get(stream)?.entries === entries) return false;
    this.found.set(stream, { entries, atMs: nowMs });
    return true;
  }

  warnings(nowMs: number): readonly Warning[] {
    for (const [stream, { atMs }] of this.found) if (nowMs - atMs > toldMs) this.found.delete(stream);
    if (this.found.size === 0) return [];
    const what = [...this.found].map(([stream, { entries }]) => `${entries} of ${stream}`).join(", ");
    return [
      {
        code: "ENTRIES_DELETED",
        message: `entries were deleted from streams before they were applied: ${what}`,
        remedy:
          "Find out who deletes entries (XDEL), and take a new snapshot of the tables, which may lack changes: see docs/guides/gaps.md.",
      },
    ];
  }
}
