import type { Load } from "./load.ts";
import { ordersTable } from "./orders-table.ts";
import { shuffled } from "./random.ts";

/** Each of `size` rows once, in random order: no two changes of a batch fold into one, and no page is hot. */
export function updateLoad(size: number): Load {
  const table = ordersTable();
  return {
    name: "update",
    tables: [table],
    size,
    *existing() {
      for (let id = 1; id <= size; id++) yield { table, row: table.rowOf(id, 0) };
    },
    *changes() {
      for (const index of shuffled(size, 1)) yield { op: "u", table, row: table.rowOf(index + 1, 1) };
    },
  };
}
