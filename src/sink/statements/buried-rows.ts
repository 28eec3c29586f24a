import { positionColumn } from "../../catalog/read-table.ts";
import { planKey, type ShapePlan } from "../../catalog/shape-plan.ts";
import { quoteName, quoteTable } from "../sql.ts";
import { keyValues, rowsFrom } from "./rows.ts";

/**
 * Removes rows that are older than their own tombstone, which must not be (I4). An insert of an old row that meets its delete in
 * progress waits for that to commit and then inserts the row, since its snapshot is from before the tombstone. This statement has a
 * later snapshot and sees it. $1 keys as objects, $2 keys as text, $3 table.
 */
export function removeBuriedSql({ table }: ShapePlan): string {
  const plan = planKey(table, table.key);
  const keys = keyValues(plan);
  const same = keys.map(({ column }, index) => `t.${column} = d.k${index}`);
  return (
    `DELETE FROM ${quoteTable(plan.table.name)} AS t USING (` +
    `SELECT ${keys.map(({ value }, index) => `${value} AS k${index}`).join(", ")},` +
    ` (SELECT s.position FROM sluice.tombstone s WHERE s.table_name = $3 AND s.key = r.k) AS buried` +
    ` FROM ${rowsFrom(plan, [["k", "text"]])} OFFSET 0) AS d` +
    ` WHERE ${same.join(" AND ")} AND t.${quoteName(positionColumn)} < d.buried`
  );
}
