import { withValuesOf } from "../decode/overlay.ts";
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
 * Debezium append an older change after a newer one (I4).
 *
 * What cannot be folded begins a new segment: a truncate, another set of columns, and the two halves of a key change when
 * their keys were touched before, since the delete saves the row for the insert.
 */
export function fold(works: Iterable<Work>): Folded {
  const segments: Segment[] = [];
  const folded = new Map<string, number>();
  let current = new SegmentBuilder();
  const cut = (): void => {
    if (!current.isEmpty) segments.push(current.build());
    current = new SegmentBuilder();
  };
  for (const work of works) {
    const table = work.change.table.id;
    if (work.kind === "truncate") {
      cut();
      segments.push({ work: [work] });
      continue;
    }
    const earlier = current.find(work);
    if (earlier === undefined) {
      current.put(work);
      continue;
    }
    const merged = merge(earlier, work);
    if (merged === undefined) {
      cut();
      current.put(work);
    } else {
      current.put(merged);
      folded.set(table, (folded.get(table) ?? 0) + 1);
    }
  }
  cut();
  return { segments, folded };
}

class SegmentBuilder {
  private readonly byTable = new Map<string, Map<string, Work>>();
  private readonly appended: Work[] = [];

  get isEmpty(): boolean {
    return this.byTable.size === 0 && this.appended.length === 0;
  }

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
function merge(first: Work, second: Work): Work | undefined {
  const [older, newer] = second.position >= first.position ? [first, second] : [second, first];
  if (newer.change.newKey !== undefined || older.change.newKey !== undefined) return undefined;
  if (newer.kind === "delete") return newer;
  if (newer.kind === "moved" || older.kind === "moved") return undefined;
  // The row that it deletes may be there.
  if (older.kind === "delete") return newer.kind === "upsert" ? { ...newer, isNew: false } : undefined;
  if (older.plan !== newer.plan) return undefined;
  return newer.kind === "upsert" ? newer : overlayPartial(older, newer);
}

function overlayPartial(older: Work, newer: Work): Work {
  const image = withValuesOf(newer.image, newer.absent, older.image);
  if (older.kind === "upsert") return { ...newer, kind: "upsert", image, absent: new Set() };
  const absent = new Set([...newer.absent].filter((name) => older.absent.has(name)));
  return { ...newer, image, absent };
}
