import type { Load } from "./load.ts";
import { ordersTable } from "./orders-table.ts";
import type { TableShape } from "./table-shape.ts";

/** New rows with rising keys, spread evenly over the tables. */
export function insertLoad(size: number, tables: readonly TableShape[] = [ordersTable()]): Load {
  return {
    name: "insert",
    tables,
    size,
    existing: () => [],
    *changes() {
      for (let index = 0; index < size; index++) {
        const table = tables[index % tables.length];
        if (table !== undefined) yield { op: "c", table, row: table.rowOf(index + 1, 0) };
      }
    },
  };
}
