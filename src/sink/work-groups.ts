import type { Segment } from "../batch/fold.ts";
import type { Work, WorkKind } from "../batch/work.ts";
import type { ShapePlan } from "../catalog/shape-plan.ts";

/** What one statement writes. */
export interface Group {
  readonly kind: WorkKind | "moved-delete";
  readonly plan: ShapePlan;
  readonly work: Work[];
  /** All of it is: see `Work.isNew`. */
  readonly isNew?: boolean;
}

/** Deletes go first: a key change's delete saves the row for its insert. */
const order: Readonly<Record<Group["kind"], number>> = {
  truncate: 0,
  "moved-delete": 1,
  delete: 2,
  upsert: 3,
  partial: 4,
  moved: 5,
  append: 6,
};

export function isDelete(kind: Group["kind"]): boolean {
  return kind === "delete" || kind === "moved-delete";
}

export function oldestOf(work: readonly Work[]): bigint {
  let oldest = work[0]?.position ?? 0n;
  for (const { position } of work) if (position < oldest) oldest = position;
  return oldest;
}

/** By table name and then kind, so that parallel shards lock tables and keys in one order. */
export function groups(segment: Segment): Group[] {
  const { work, upserts } = segment;
  if (upserts !== undefined) return [{ ...upserts, kind: "upsert", work: work.slice() }];
  const found = new Map<ShapePlan, Map<Group["kind"], Group>>();
  for (const work of segment.work) {
    const kind = work.kind === "delete" && work.change.newKey !== undefined ? "moved-delete" : work.kind;
    let kinds = found.get(work.plan);
    if (kinds === undefined) found.set(work.plan, (kinds = new Map()));
    const group = kinds.get(kind);
    if (group === undefined) kinds.set(kind, { kind, plan: work.plan, work: [work] });
    else group.work.push(work);
  }
  return [...found.values()]
    .flatMap((kinds) => [...kinds.values()])
    .sort(
      (left, right) =>
        order[left.kind] - order[right.kind] || compare(left.plan.table.name.id, right.plan.table.name.id),
    );
}

function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
