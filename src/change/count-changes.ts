import type { Change } from "./change.ts";

/** Changes of one table, by operation. */
export interface TableChanges {
  /** schema.table */
  readonly table: string;
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  readonly reads: number;
  readonly truncates: number;
}

type Counts = { -readonly [Key in keyof TableChanges]: TableChanges[Key] };

/** Which count an operation belongs to. */
export const counters = { c: "inserts", u: "updates", d: "deletes", r: "reads", t: "truncates" } as const;

export function countByTable(changes: readonly Pick<Change, "table" | "op">[]): TableChanges[] {
  const counts = new Map<string, Counts>();
  for (const { table, op } of changes) {
    let count = counts.get(table.id);
    if (count === undefined) {
      count = { table: table.id, inserts: 0, updates: 0, deletes: 0, reads: 0, truncates: 0 };
      counts.set(table.id, count);
    }
    count[counters[op]]++;
  }
  return [...counts.values()];
}
