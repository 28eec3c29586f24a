import type pg from "pg";
import type { TableName } from "../change/change.ts";
import { elementsWithPlaceholder, typesWithoutPlaceholder } from "../decode/placeholder.ts";
import type { SentType } from "../decode/types/type-fit.ts";
import { isSoundKeySql, sentKeyIndexSql } from "./source-catalog.ts";

/** What `check` asks of a database's catalog. Every query only reads. */
export type PreflightDatabase = pg.Pool;

export interface ServerFacts {
  /** As server_version_num: 150004 for 15.4. */
  readonly versionNumber: number;
  readonly version: string;
}

export async function readServerFacts(database: PreflightDatabase): Promise<ServerFacts> {
  const { rows } = await database.query<ServerFacts>(
    `SELECT current_setting('server_version_num')::int AS "versionNumber", current_setting('server_version') AS version`,
  );
  return onlyRow(rows);
}

/** What a primary needs to pass its changes on. */
export interface ReplicationFacts {
  readonly walLevel: string;
  readonly maxReplicationSlots: number;
  readonly maxWalSenders: number;
  /** Names, of this database. */
  readonly publications: readonly string[];
}

export async function readReplicationFacts(database: PreflightDatabase): Promise<ReplicationFacts> {
  const { rows } = await database.query<ReplicationFacts>(
    `SELECT current_setting('wal_level') AS "walLevel", current_setting('max_replication_slots')::int AS "maxReplicationSlots",
            current_setting('max_wal_senders')::int AS "maxWalSenders",
            ARRAY(SELECT pubname::text FROM pg_publication ORDER BY 1) AS publications`,
  );
  return onlyRow(rows);
}

function onlyRow<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error("the server did not tell its settings");
  return row;
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

/** What Debezium sends as the key of a table's changes. */
export interface SentKey {
  /** Of this index. */
  readonly index: string;
  readonly columns: readonly string[];
  /** Two rows cannot share it. */
  readonly sound: boolean;
  /** The primary logs it with updates and deletes; otherwise these arrive with an invented key. */
  readonly logged: boolean;
}

export interface ColumnFacts {
  readonly name: string;
  readonly generated: boolean;
  readonly type: SentType;
}

export interface TableFacts extends TableName {
  readonly columns: readonly ColumnFacts[];
  /** The primary key's columns. */
  readonly key: readonly string[];
  /** As the primary of a pipeline; null: changes come without a key. */
  readonly sentKey: SentKey | null;
  /** It has the column _sluice_lsn. */
  readonly prepared: boolean;
  /** Every old value is logged (REPLICA IDENTITY FULL), by all partitions. */
  readonly replicaIdentityFull: boolean;
  /** Old rows are logged by the columns of an index other than the primary key, by some partition. */
  readonly replicaIdentityByIndex: boolean;
  /** Columns whose values may be stored apart, and are then left out of the log while they do not change. */
  readonly large: readonly string[];
  /** Columns of which Debezium sends NULL for an unchanged large value. */
  readonly lostWhenUnchanged: readonly string[];
  /** Columns of types that Debezium leaves out, or writes wrongly. */
  readonly unsent: readonly string[];
  /** schema.table of its partitions, at every level. */
  readonly partitions: readonly TableName[];
  /** It is no partitioned table, but others inherit from it. */
  readonly hasHeirs: boolean;
  /** Publications that name changes after the partitions. */
  readonly publicationsByPartition: readonly string[];
  /** Columns outside the key that are GENERATED ALWAYS AS IDENTITY. */
  readonly identities: readonly string[];
  readonly foreignKeys: readonly string[];
  readonly triggers: readonly string[];
  /** Unique indexes other than the key that are checked at once. */
  readonly uniques: readonly string[];
  /** SELECT, INSERT, UPDATE, DELETE and TRUNCATE are all granted. */
  readonly writable: boolean;
}

/** The tables that hold the rows of `c`. */
const storesSql = `(SELECT s.* FROM pg_class s WHERE s.oid = c.oid AND c.relkind = 'r'
    OR s.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf))`;

/** The columns of `c` with the type below domains, and the element's. */
const columnsSql = `(
  WITH RECURSIVE base AS (
    SELECT a.attnum, a.attname, a.attstorage, a.attndims, a.attgenerated <> '' AS generated, a.atttypid AS type,
      a.atttypmod AS modifier, 0 AS depth
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attnum, b.attname, b.attstorage, b.attndims, b.generated, t.typbasetype, t.typtypmod, b.depth + 1
    FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd')
  SELECT b.attnum, b.attname::text, b.attstorage, b.attndims, b.generated, b.modifier, b.depth > 0 AS "isDomain",
    t.typname, t.typtype, format_type(t.oid, b.modifier) AS sql,
    CASE WHEN t.typcategory = 'A' THEN e.typname END AS element, e.typtype AS "elementType"
  FROM base b JOIN pg_type t ON t.oid = b.type LEFT JOIN pg_type e ON e.oid = t.typelem WHERE t.typtype <> 'd')`;

const quoted = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(", ");

/* Up to 24 bytes are never stored apart; test/fixtures holds a recording. */
const isLostSql = `NOT a.generated AND a.attstorage <> 'p' AND CASE
  WHEN a.element IS NOT NULL
    THEN a."isDomain" OR a.element NOT IN (${quoted(elementsWithPlaceholder)})
  ELSE a.typname IN (${quoted(typesWithoutPlaceholder)}) AND a.modifier NOT BETWEEN 0 AND 128 END`;

/*
 * `name` arrives as NULL, arrays of bit as NULL, the vectors empty, the other arrays not at all; `refcursor` ends the snapshot. Of arrays in
 * several dimensions only the first is read.
 */
const isUnsentSql = `NOT a.generated AND (a.typname IN ('name', 'oidvector', 'int2vector', 'refcursor') AND NOT (a.typname = 'name' AND a."isDomain")
  OR a.attndims > 1 OR a.element IN ('money', 'xml', 'point', 'bit', 'varbit', 'interval', 'name'))`;

const tablesSql = `
SELECT n.nspname AS schema, c.relname AS "table", n.nspname || '.' || c.relname AS id,
  ARRAY(SELECT a.attname::text FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, n), pg_attribute a
        WHERE i.indrelid = c.oid AND i.indisprimary AND k.n <= i.indnkeyatts AND a.attrelid = c.oid AND a.attnum = k.attnum
        ORDER BY k.n) AS key,
  (SELECT json_build_object('index', i.relname, 'columns', y.columns, 'sound', ${isSoundKeySql},
     'logged', NOT EXISTS (SELECT FROM ${storesSql} s WHERE s.relreplident = 'i' AND EXISTS (
       SELECT FROM unnest(y.columns) AS k(name) WHERE NOT EXISTS (
         SELECT FROM pg_index r JOIN pg_attribute ra ON ra.attrelid = s.oid AND ra.attnum = ANY (r.indkey[0:r.indnkeyatts - 1])
         WHERE r.indrelid = s.oid AND r.indisreplident AND ra.attname = k.name))))
   FROM ${sentKeyIndexSql} i, LATERAL (SELECT ARRAY(
     SELECT ka.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(attnum, n) JOIN pg_attribute ka ON ka.attnum = k.attnum
     WHERE ka.attrelid = c.oid AND (NOT i.indisprimary OR k.n <= i.indnkeyatts) ORDER BY k.n) AS columns) y) AS "sentKey",
  EXISTS (SELECT FROM pg_attribute a
          WHERE a.attrelid = c.oid AND a.attname = '_sluice_lsn' AND NOT a.attisdropped) AS prepared,
  NOT EXISTS (SELECT FROM ${storesSql} s WHERE s.relreplident <> 'f') AS "replicaIdentityFull",
  EXISTS (SELECT FROM ${storesSql} s JOIN pg_index r ON r.indrelid = s.oid AND r.indisreplident AND NOT r.indisprimary
          WHERE s.relreplident = 'i') AS "replicaIdentityByIndex",
  ARRAY(SELECT a.attname FROM ${columnsSql} a WHERE a.attstorage <> 'p' ORDER BY a.attnum) AS large,
  (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'generated', a.generated, 'type', json_build_object(
     'name', a.typname, 'sql', a.sql, 'element', a.element, 'isEnum', coalesce(a."elementType", a.typtype) = 'e')) ORDER BY a.attnum), '[]')
   FROM ${columnsSql} a WHERE a.attname <> '_sluice_lsn') AS columns,
  ARRAY(SELECT a.attname FROM ${columnsSql} a WHERE ${isLostSql} ORDER BY a.attnum) AS "lostWhenUnchanged",
  ARRAY(SELECT a.attname FROM ${columnsSql} a WHERE ${isUnsentSql} ORDER BY a.attnum) AS unsent,
  (SELECT coalesce(json_agg(json_build_object('schema', pn.nspname, 'table', p.relname, 'id', pn.nspname || '.' || p.relname)
     ORDER BY p.oid), '[]')
   FROM pg_partition_tree(c.oid) t JOIN pg_class p ON p.oid = t.relid JOIN pg_namespace pn ON pn.oid = p.relnamespace
   WHERE t.relid <> c.oid) AS partitions,
  c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid) AS "hasHeirs",
  ARRAY(SELECT DISTINCT p.pubname::text FROM pg_publication_tables p, pg_partition_tree(c.oid) t
        JOIN pg_class l ON l.oid = t.relid JOIN pg_namespace ln ON ln.oid = l.relnamespace
        WHERE t.relid <> c.oid AND (p.schemaname, p.tablename) = (ln.nspname, l.relname)) AS "publicationsByPartition",
  ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity = 'a' AND NOT a.attisdropped
        AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary
          AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])) ORDER BY a.attnum) AS identities,
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

/** Domains over enums: while a primary has one, Debezium 3.6 does not start. */
export async function domainsOverEnums(database: PreflightDatabase): Promise<readonly string[]> {
  const { rows } = await database.query<{ name: string }>(
    `SELECT d.oid::regtype::text AS name FROM pg_type d WHERE d.typtype = 'd' AND d.typcategory = 'E' ORDER BY 1`,
  );
  return rows.map((row) => row.name);
}
