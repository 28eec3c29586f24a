import { hashOf, KeyIndex, type Upserts } from "./key-index.ts";
import type { Work } from "./work.ts";

/** Work that may be written in any order, since it has one change for each key; deletes go first. */
export interface Segment {
  readonly work: readonly Work[];
  /** Set where all of it are upserts by one plan, which need not be looked at one by one then. */
  readonly upserts?: Upserts | undefined;
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
    if (!work.change.hasKey) {
      layers.append(work);
      continue;
    }
    const hash = hashOf(work);
    const found = layers.find(work, hash);
    if (found === undefined) {
      layers.put(work, hash, 0);
      continue;
    }
    const { work: earlier, layer } = found;
    const merged = merge(earlier, work, below);
    if (merged !== undefined) {
      layers.put(merged, hash, layer);
      folded.set(table, (folded.get(table) ?? 0) + 1);
    } else if (isLinked(earlier) || isLinked(work)) {
      cut();
      layers.put(work, hash, 0);
    } else {
      // An image that comes late goes first: the guard drops it if the row is newer; without a row only it has the large values.
      const [first, second] = work.position < earlier.position ? [work, earlier] : [earlier, work];
      layers.put(first, hash, layer);
      layers.put(second, hash, layer + 1);
    }
  }
  cut();
  return { segments, folded };
}

/** Segments that are written one after the other; a key that is in one is in all below it. */
class Layers {
  private readonly layers: KeyIndex[] = [];
  private readonly appended: Work[] = [];

  /** The key's newest work, in the highest layer that has the key. */
  find(work: Work, hash: number): { readonly work: Work; readonly layer: number } | undefined {
    for (let layer = this.layers.length - 1; layer >= 0; layer--) {
      const found = this.layers[layer]?.find(work, hash);
      if (found !== undefined) return { work: found, layer };
    }
    return undefined;
  }

  put(work: Work, hash: number, layer: number): void {
    (this.layers[layer] ??= new KeyIndex()).put(work, hash);
  }

  /** A row of a table without a key. */
  append(work: Work): void {
    this.appended.push(work);
  }

  build(): Segment[] {
    const { appended } = this;
    const [first, ...others] = this.layers.map(({ works, upserts }) => ({ work: works, upserts }));
    if (appended.length === 0) return first === undefined ? [] : [first, ...others];
    return [{ work: (first?.work ?? []).concat(appended) }, ...others];
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
