import { positionColumn, type ReadTable } from "../../catalog/read-table.ts";
import { quoteName, quoteTable } from "../sql.ts";

const position = quoteName(positionColumn);

/** Waits for everybody who writes the table, and lets nobody begin. */
export function lockSql({ name }: ReadTable): string {
  return `LOCK TABLE ${quoteTable(name)} IN SHARE ROW EXCLUSIVE MODE`;
}

/** From its commit on nobody writes anything older: writers look it up behind the table's lock. $1 position, $2 table. */
export const recordSql =
  `INSERT INTO sluice.truncation AS s (table_name, position) VALUES ($2, $1::bigint) ON CONFLICT (table_name)` +
  ` DO UPDATE SET position = greatest(s.position, EXCLUDED.position), truncated_at = now()`;

/** The rest of the transaction may take half of the session's limit for one statement, and wait half a second for a lock. */
export const beQuickSql =
  `SELECT set_config('lock_timeout', '500', true),` +
  ` set_config('statement_timeout', coalesce(nullif(setting::int, 0) / 2, 4000)::text, true)` +
  ` FROM pg_settings WHERE name = 'statement_timeout'`;

/** Of the table and whatever partitions or inherits from it: how many hold rows, and the pages of the largest. $1 schema, $2 table. */
export const extentSql =
  `WITH RECURSIVE heap AS (` +
  `SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace` +
  ` WHERE n.nspname = $1 AND c.relname = $2 UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN heap h ON i.inhparent = h.oid)` +
  ` SELECT count(*)::int AS heaps,` +
  ` coalesce(max(pg_relation_size(c.oid) / current_setting('block_size')::int), 0)::float8 AS pages` +
  ` FROM heap JOIN pg_catalog.pg_class c USING (oid) WHERE c.relkind = 'r'`;

/** Whether the table has a row that the TRUNCATE does not touch. $1 position. */
export function hasNewerSql({ name }: ReadTable): string {
  return `SELECT EXISTS (SELECT FROM ${quoteTable(name)} AS t WHERE t.${position} >= $1::bigint) AS found`;
}

export function truncateSql({ name }: ReadTable): string {
  return `TRUNCATE ${quoteTable(name)}`;
}

/** $1 position. */
export function deleteOlderSql({ name }: ReadTable): string {
  return `DELETE FROM ${quoteTable(name)} AS t WHERE ${older}`;
}

/**
 * The same on some pages, of each partition; found by their place, so that no index is needed and no more than these are read.
 * $1 position, $2 first page, $3 page behind the last.
 */
export function deleteOlderOnPagesSql({ name }: ReadTable): string {
  return (
    `DELETE FROM ${quoteTable(name)} AS t WHERE t.ctid >= format('(%s,0)', $2::bigint)::tid` +
    ` AND t.ctid < format('(%s,0)', $3::bigint)::tid AND ${older}`
  );
}

const older = `(t.${position} IS NULL OR t.${position} < $1::bigint)`;
