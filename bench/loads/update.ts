import type { Load } from "./load.ts";
import { ordersTable } from "./orders-table.ts";
import { shuffled } from "./random.ts";

/** Each of `size` rows once, in random order: no two changes of a batch fold into one, and no page is hot. */
export function updateLoad(size: number): Load {
  return updates("update", size, () => shuffled(size, 1));
}

/** The same in the order of their keys, in which the JDBC sink gets its updates. */
export function orderedUpdateLoad(size: number): Load {
  return updates("update_in_order", size, () => Array.from({ length: size }, (_, index) => index));
}

function updates(name: string, size: number, order: () => Iterable<number>): Load {
  const table = ordersTable();
  return {
    name,
    tables: [table],
    size,
    *existing() {
      for (let id = 1; id <= size; id++) yield { table, row: table.rowOf(id, 0) };
    },
    *changes() {
      for (const index of order()) yield { op: "u", table, row: table.rowOf(index + 1, 1) };
    },
  };
}
