import { positionColumn } from "../../catalog/read-table.ts";
import type { ShapePlan } from "../../catalog/shape-plan.ts";
import { quoteName, quoteTable } from "../sql.ts";
import { keyValues, rowsFrom } from "./rows.ts";

/** What the guard (I4) would do with changes of one table. */
export interface PassingRows {
  /** Changes whose row is there and not newer. */
  readonly passing: number;
  /** Changes whose row is there and newer. */
  readonly newer: number;
  /** Keys of rows that are not there and that nothing newer removed: an insert would make them. */
  readonly absent: readonly string[];
}

/**
 * Asks without writing what the guard would let through. The plan is one of the table's key: keys say enough, and the images need not
 * be parsed. $1 keys as objects, $2 positions, $3 keys as text, $4 table. Gives one row, a `PassingRows`.
 */
export function passingRowsSql(plan: ShapePlan): string {
  const keys = keyValues(plan);
  const position = `t.${quoteName(positionColumn)}`;
  const [first] = keys;
  if (first === undefined) throw new RangeError("the table has no key");
  const rows = rowsFrom(plan, [
    ["p", "bigint"],
    ["k", "text"],
  ]);
  return (
    `SELECT count(*) FILTER (WHERE x.there AND NOT x.newer)::int AS passing,` +
    ` count(*) FILTER (WHERE x.there AND x.newer)::int AS newer,` +
    ` coalesce(array_agg(x.k) FILTER (WHERE NOT x.there AND NOT x.removed), '{}') AS absent` +
    // A column of the primary key is never null in a row that is there.
    ` FROM (SELECT r.k, t.${first.column} IS NOT NULL AS there, coalesce(${position} > r.p, false) AS newer,` +
    ` EXISTS (SELECT FROM sluice.tombstone s WHERE s.table_name = $4 AND s.key = r.k AND s.position > r.p)` +
    ` OR EXISTS (SELECT FROM sluice.truncation s WHERE s.table_name = $4 AND s.position > r.p) AS removed` +
    ` FROM ${rows} LEFT JOIN ${quoteTable(plan.table.name)} AS t` +
    ` ON ${keys.map(({ column, value }) => `t.${column} = ${value}`).join(" AND ")}) AS x`
  );
}
