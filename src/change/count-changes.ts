import type { Change } from "./change.ts";

export const operations = ["inserts", "updates", "deletes", "reads", "truncates"] as const;

/** A number for each operation. */
export type OperationCounts = Record<(typeof operations)[number], number>;

export function noOperations(): OperationCounts {
  return { inserts: 0, updates: 0, deletes: 0, reads: 0, truncates: 0 };
}

/** Changes of one table, by operation. */
export interface TableChanges extends Readonly<OperationCounts> {
  /** schema.table */
  readonly table: string;
}

type Counts = { -readonly [Key in keyof TableChanges]: TableChanges[Key] };

/** Which count an operation belongs to. */
export const counters = { c: "inserts", u: "updates", d: "deletes", r: "reads", t: "truncates" } as const;

export function countByTable(changes: readonly Pick<Change, "table" | "op">[]): TableChanges[] {
  const counts = new Map<string, Counts>();
  let last: Counts | undefined;
  for (const { table, op } of changes) {
    // Neighbours are of one table for the most part.
    if (last?.table !== table.id) last = countsOf(counts, table.id);
    last[counters[op]]++;
  }
  return [...counts.values()];
}

function countsOf(counts: Map<string, Counts>, table: string): Counts {
  let count = counts.get(table);
  if (count === undefined) {
    count = { table, ...noOperations() };
    counts.set(table, count);
  }
  return count;
}
