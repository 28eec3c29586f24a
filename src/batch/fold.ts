import type { Work } from "./work.ts";

/** Work that may be written in any order, since it has one change for each key; deletes go first. */
export interface Segment {
  readonly work: readonly Work[];
}

export interface Folded {
  readonly segments: readonly Segment[];
  /** Changes that a newer one of the same key made needless, by table id. */
  readonly folded: ReadonlyMap<string, number>;
}

/**
 * Keeps the last change of each key. The newer position wins, whatever the order in the stream: Redis out of memory makes
 * Debezium append an older change after a newer one (I4). The rows are those that the changes would have left one by one, however
 * the stream is cut into batches.
 *
 * Two changes of one key that cannot be folded go to segments that follow each other. What concerns other keys too begins anew behind
 * all before it: a truncate, and the halves of a key change when their keys were touched before, since the delete saves the row
 * for the insert.
 *
 * `written`: the highest position that the shard may have written before. A change that is not above it may be older than its
 * row, so that no other is laid over its image.
 */
export function fold(works: Iterable<Work>, written = -1n): Folded {
  const segments: Segment[] = [];
  const folded = new Map<string, number>();
  let layers = new Layers();
  let [below, highest] = [written, written];
  const cut = (): void => {
    segments.push(...layers.build());
    layers = new Layers();
    below = highest;
  };
  for (const work of works) {
    const table = work.change.table.id;
    if (work.position > highest) highest = work.position;
    if (work.kind === "truncate") {
      cut();
      segments.push({ work: [work] });
      continue;
    }
    const found = layers.find(work);
    if (found === undefined) {
      layers.put(work, 0);
      continue;
    }
    const { work: earlier, layer } = found;
    const merged = merge(earlier, work, below);
    if (merged !== undefined) {
      layers.put(merged, layer);
      folded.set(table, (folded.get(table) ?? 0) + 1);
    } else if (isLinked(earlier) || isLinked(work)) {
      cut();
      layers.put(work, 0);
    } else {
      // An image that comes late goes first: the guard drops it if the row is newer; without a row only it has the large values.
      const [first, second] = work.position < earlier.position ? [work, earlier] : [earlier, work];
      layers.put(first, layer);
      layers.put(second, layer + 1);
    }
  }
  cut();
  return { segments, folded };
}

/** Segments that are written one after the other; a key that is in one is in all below it. */
class Layers {
  private readonly segments: SegmentBuilder[] = [];

  /** The key's newest work, in the highest layer that has the key. */
  find(work: Work): { readonly work: Work; readonly layer: number } | undefined {
    for (let layer = this.segments.length - 1; layer >= 0; layer--) {
      const found = this.segments[layer]?.find(work);
      if (found !== undefined) return { work: found, layer };
    }
    return undefined;
  }

  put(work: Work, layer: number): void {
    (this.segments[layer] ??= new SegmentBuilder()).put(work);
  }

  build(): Segment[] {
    return this.segments.map((segment) => segment.build());
  }
}

class SegmentBuilder {
  private readonly byTable = new Map<string, Map<string, Work>>();
  private readonly appended: Work[] = [];

  find(work: Work): Work | undefined {
    const { key, table } = work.change;
    return key === undefined ? undefined : this.byTable.get(table.id)?.get(key);
  }

  put(work: Work): void {
    const { key, table } = work.change;
    if (key === undefined) {
      this.appended.push(work);
      return;
    }
    let works = this.byTable.get(table.id);
    if (works === undefined) this.byTable.set(table.id, (works = new Map()));
    works.set(key, work);
  }

  build(): Segment {
    return { work: [...this.byTable.values()].flatMap((works) => [...works.values()]).concat(this.appended) };
  }
}

/** One change that stands for both, or undefined when each must be written by itself. */
function merge(first: Work, second: Work, written: bigint): Work | undefined {
  const ordered = second.position >= first.position;
  const [older, newer] = ordered ? [first, second] : [second, first];
  if (newer.change.newKey !== undefined || older.change.newKey !== undefined) return undefined;
  if (newer.kind === "delete") return newer;
  if (newer.kind === "moved" || older.kind === "moved") return undefined;
  if (older.kind === "delete") {
    // A column of the read database's own ends with the row; left to the insert alone it would live on (I7).
    const replaces = newer.kind === "upsert" && !newer.plan.leavesColumns;
    if (!replaces && ordered) return undefined;
    // The row that it deletes may be there.
    return newer.replacing();
  }
  if (older.plan !== newer.plan) return undefined;
  if (newer.kind === "upsert") return newer;
  // Between an older image that comes late and the newer change there may be others, which the row has.
  return ordered && older.position > written ? newer.over(older) : undefined;
}

/** Half of a key change, which meets the other half in the read database. */
function isLinked(work: Work): boolean {
  return work.kind === "moved" || work.change.newKey !== undefined;
}
