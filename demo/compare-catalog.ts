import type pg from "pg";

/** What has to be known of a table to compare it. */
export interface TableShape {
  /** schema.table */
  readonly name: string;
  /** The name as SQL wants it. */
  readonly sql: string;
  /** The same behind FROM: a partitioned table with its partitions, another one without its heirs. */
  readonly from: string;
  /** In the table's order. */
  readonly columns: readonly string[];
  /** The primary key's columns, in its order; empty without one. */
  readonly key: readonly string[];
}

/**
 * Tables that are replicated. A partitioned table is one, its partitions are not;
 * unlogged tables never reach the log; what belongs to an extension is not the user's; `sluice` is our bookkeeping.
 */
const query = `
  SELECT n.nspname || '.' || c.relname AS name,
         format('%I.%I', n.nspname, c.relname) AS sql,
         CASE c.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END || format('%I.%I', n.nspname, c.relname) AS from,
         ARRAY(SELECT a.attname::text FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
         ARRAY(SELECT a.attname::text
                 FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place), pg_attribute a
                WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum
                ORDER BY k.place) AS key
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
     AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'sluice') AND n.nspname NOT LIKE 'pg\\_%'
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
   ORDER BY 1`;

export async function listTables(client: pg.Client): Promise<TableShape[]> {
  const { rows } = await client.query<TableShape>(query);
  return rows;
}
