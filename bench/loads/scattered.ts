import type { Load } from "./load.ts";
import { ordersTable } from "./orders-table.ts";

/** Prime, so that multiples of it modulo a smaller range come back late. */
const stride = 7_368_787;

/** New rows whose keys fall at random places between those of the rows that are there: no part of the index is hot. */
export function scatteredLoad(size: number, existing: number): Load {
  const table = ordersTable();
  const range = Math.max(existing, size, 1_000_000);
  return {
    name: "scattered",
    tables: [table],
    size,
    *existing() {
      for (let index = 0; index < existing; index++) yield { table, row: table.rowOf(2 * index, 0) };
    },
    *changes() {
      for (let index = 0; index < size; index++) {
        yield { op: "c", table, row: table.rowOf(2 * ((index * stride) % range) + 1, 0) };
      }
    },
  };
}
