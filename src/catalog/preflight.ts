import type pg from "pg";
import type { TableName } from "../change/change.ts";

/** What `check` asks of a database's catalog. Every query only reads. */
export type PreflightDatabase = pg.Pool;

export interface ServerFacts {
  /** As server_version_num: 150004 for 15.4. */
  readonly versionNumber: number;
  readonly version: string;
  readonly walLevel: string;
  readonly role: string;
}

export async function readServerFacts(database: PreflightDatabase): Promise<ServerFacts> {
  const { rows } = await database.query<ServerFacts>(
    `SELECT current_setting('server_version_num')::int AS "versionNumber", current_setting('server_version') AS version,
            current_setting('wal_level') AS "walLevel", current_user::text AS role`,
  );
  const facts = rows[0];
  if (facts === undefined) throw new Error("the server did not tell its version");
  return facts;
}

/** Whether the role may switch off triggers and foreign keys for its session. Tried, and rolled back. */
export async function maySkipTriggers(database: PreflightDatabase): Promise<boolean> {
  const client = await database.connect();
  try {
    await client.query("BEGIN");
    await client.query("SET LOCAL session_replication_role = replica");
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "42501") return false;
    throw error;
  } finally {
    await client.query("ROLLBACK").catch(() => undefined);
    client.release();
  }
}

/** Bookkeeping tables that the role may not read and write. */
export async function unwritableBookkeeping(database: PreflightDatabase): Promise<readonly string[]> {
  const { rows } = await database.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'sluice' AND c.relkind = 'r'
       AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
                AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
                AND has_table_privilege(c.oid, 'DELETE'))
     ORDER BY 1`,
  );
  return rows.map((row) => row.name);
}

export interface TableFacts extends TableName {
  readonly key: readonly string[];
  /** It has the column _sluice_lsn. */
  readonly prepared: boolean;
  /** Every old value is logged (REPLICA IDENTITY FULL). */
  readonly replicaIdentityFull: boolean;
  /** Array columns of which Debezium sends NULL for an unchanged large value. */
  readonly arraysWithoutPlaceholder: readonly string[];
  readonly foreignKeys: readonly string[];
  readonly triggers: readonly string[];
  /** Unique indexes other than the key that are checked at once. */
  readonly uniques: readonly string[];
  /** SELECT, INSERT, UPDATE, DELETE and TRUNCATE are all granted. */
  readonly writable: boolean;
}

// Arrays for which a placeholder was seen are named; domains and enums have none that is known.
const tablesSql = `
SELECT n.nspname AS schema, c.relname AS "table", n.nspname || '.' || c.relname AS id,
  ARRAY(SELECT a.attname::text FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, n), pg_attribute a
        WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum ORDER BY k.n) AS key,
  EXISTS (SELECT FROM pg_attribute a
          WHERE a.attrelid = c.oid AND a.attname = '_sluice_lsn' AND NOT a.attisdropped) AS prepared,
  c.relreplident = 'f' AS "replicaIdentityFull",
  ARRAY(SELECT a.attname::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_type b ON b.oid = t.typbasetype
        JOIN pg_type e ON e.oid = COALESCE(NULLIF(b.typelem, 0), t.typelem)
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attstorage <> 'p'
          AND 'A' IN (t.typcategory, b.typcategory)
          AND e.typname NOT IN ('text', 'int4', 'int8', 'date', 'uuid')
        ORDER BY a.attnum) AS "arraysWithoutPlaceholder",
  ARRAY(SELECT conname::text FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f' ORDER BY 1) AS "foreignKeys",
  ARRAY(SELECT tgname::text FROM pg_trigger
        WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled <> 'D' ORDER BY 1) AS triggers,
  ARRAY(SELECT x.relname::text FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        LEFT JOIN pg_constraint u ON u.conindid = i.indexrelid AND u.contype IN ('u', 'x')
        WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary
          AND NOT COALESCE(u.condeferred, false) ORDER BY 1) AS uniques,
  has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
    AND has_table_privilege(c.oid, 'DELETE') AND has_table_privilege(c.oid, 'TRUNCATE') AS writable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'sluice') AND n.nspname !~ '^pg_'
ORDER BY 1, 2`;

/** Every user table, by name. */
export async function readTableFacts(database: PreflightDatabase): Promise<readonly TableFacts[]> {
  return (await database.query<TableFacts>(tablesSql)).rows;
}
