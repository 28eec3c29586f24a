import { positionColumn } from "../../catalog/read-table.ts";
import { fixedColumns, type ShapePlan } from "../../catalog/shape-plan.ts";
import { quoteName, quoteTable } from "../sql.ts";
import { keyValues, rowsFrom, valueOf } from "./rows.ts";

/**
 * Rows that were just written but for the value of a column that is GENERATED ALWAYS AS IDENTITY, which PostgreSQL lets nobody update.
 * A statement of its own, since hardly any table has such a column outside its key. $1 images, $2 positions, $3 keys.
 */
export function changedIdentitySql(plan: ShapePlan): string {
  const changed = fixedColumns(plan).map(
    (column) => `t.${quoteName(column.name)} IS DISTINCT FROM ${valueOf(plan, plan.columns.indexOf(column))}`,
  );
  const rows = rowsFrom(plan, [
    ["p", "bigint"],
    ["k", "text"],
  ]);
  const same = keyValues(plan).map(({ column, value }) => `t.${column} = ${value}`);
  return (
    `SELECT FROM ${rows} JOIN ${quoteTable(plan.table.name)} AS t ON ${same.join(" AND ")}` +
    ` WHERE t.${quoteName(positionColumn)} = r.p AND (${changed.join(" OR ")}) LIMIT 1`
  );
}
