import type pg from "pg";

/** A type as a column, domain or attribute uses it. */
export interface TypeUse {
  /** The type below arrays and multiranges; matches `CatalogType.id` of the same catalog, or a type of PostgreSQL itself. */
  readonly id: string;
  /** As `format_type` prints it: modifiers and brackets included, qualified unless in pg_catalog. */
  readonly sql: string;
  /** The quoted schema that `sql` begins with when it is qualified. */
  readonly schemaSql: string;
}

/** A function, operator or collation that is not PostgreSQL's own and that an expression cannot do without. */
export interface Need {
  /** Like `function public.tax(numeric)`. */
  readonly name: string;
  readonly extension: string | null;
}

export interface CatalogType {
  readonly id: string;
  readonly schema: string;
  readonly name: string;
  readonly kind: "base" | "enum" | "domain" | "composite" | "range";
  /** The extension that owns it. */
  readonly extension: string | null;
  /** Of an enum, in order. */
  readonly labels: readonly string[];
  /** Below a domain or a range. */
  readonly base: TypeUse | null;
  /** Of a range: the quoted name of its multirange, which need not be the one that PostgreSQL would choose. */
  readonly multirange: string | null;
  readonly collation: string | null;
  readonly notNull: boolean;
  readonly checks: readonly { readonly name: string; readonly sql: string }[];
  /** Of a composite. */
  readonly attributes: readonly CatalogAttribute[];
  readonly needs: readonly Need[];
}

export interface CatalogAttribute {
  readonly name: string;
  readonly type: TypeUse;
  /** Quoted; null: the type's own. */
  readonly collation: string | null;
}

export interface CatalogColumn extends CatalogAttribute {
  readonly notNull: boolean;
  /** As text: what rows have that are older than the column. */
  readonly before: string | null;
  /** The expression of a generated column. */
  readonly generated: string | null;
  readonly needs: readonly Need[];
}

export interface CatalogTable {
  readonly schema: string;
  readonly name: string;
  /** False: unlogged, so its changes are never published. */
  readonly logged: boolean;
  readonly columns: readonly CatalogColumn[];
  /** In key order: the columns that Debezium sends as the key, if they can be a primary key; see `sentKeyIndexSql`. */
  readonly key: readonly string[];
}

export interface Catalog {
  readonly schemas: readonly string[];
  readonly extensions: readonly { readonly name: string; readonly schema: string }[];
  readonly types: readonly CatalogType[];
  readonly tables: readonly CatalogTable[];
  /** Names of all functions, operators and collations that a `Need` may name. */
  readonly names: ReadonlySet<string>;
}

const notSystem = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/** Every type → the type below arrays and multiranges, which is the one that must exist. */
const typeUseSql = (type: string, modifier: string): string => `(
  SELECT json_build_object('id', coalesce(mr.rngtypid, e.oid, u.oid)::text,
    'sql', format_type(u.oid, ${modifier}), 'schemaSql', quote_ident(un.nspname))
  FROM pg_type u JOIN pg_namespace un ON un.oid = u.typnamespace
  LEFT JOIN pg_type e ON e.oid = u.typelem AND u.typcategory = 'A'
  LEFT JOIN pg_range mr ON mr.rngmultitypid = coalesce(e.oid, u.oid)
  WHERE u.oid = ${type})`;

const collationSql = (collation: string, type: string): string => `(
  SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname)
  FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
  WHERE co.oid = ${collation} AND ${collation} <> (SELECT typcollation FROM pg_type WHERE oid = ${type}))`;

const collationName = "'collation ' || oid::regcollation::text";

/** Dependencies on what is not PostgreSQL's own; pinned objects have no rows in pg_depend. */
const needsSql = (dependents: string): string => `(
  SELECT coalesce(json_agg(DISTINCT jsonb_build_object('name', CASE d.refclassid
      WHEN 'pg_proc'::regclass THEN 'function ' || d.refobjid::regprocedure::text
      WHEN 'pg_operator'::regclass THEN 'operator ' || d.refobjid::regoperator::text
      ELSE 'collation ' || d.refobjid::regcollation::text END,
    'extension', (SELECT x.extname FROM pg_depend o JOIN pg_extension x ON x.oid = o.refobjid
      WHERE o.classid = d.refclassid AND o.objid = d.refobjid AND o.deptype = 'e'))), '[]')
  FROM pg_depend d WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_collation'::regclass)
    AND (${dependents}))`;

/** A domain over an array has the array's category, but is a type to be made. */
const typesSql = `
SELECT t.oid::text AS id, n.nspname AS schema, t.typname AS name,
  CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite' WHEN 'r' THEN 'range' ELSE 'base' END AS kind,
  x.extname AS extension, t.typnotnull AS "notNull",
  (SELECT coalesce(json_agg(enumlabel ORDER BY enumsortorder), '[]') FROM pg_enum WHERE enumtypid = t.oid) AS labels,
  coalesce(${typeUseSql("nullif(t.typbasetype, 0)", "t.typtypmod")}, ${typeUseSql("r.rngsubtype", "-1")}) AS base,
  (SELECT quote_ident(mn.nspname) || '.' || quote_ident(m.typname) FROM pg_type m JOIN pg_namespace mn ON mn.oid = m.typnamespace
   WHERE m.oid = r.rngmultitypid) AS multirange,
  CASE WHEN t.typtype = 'd' THEN ${collationSql("t.typcollation", "t.typbasetype")}
    ELSE ${collationSql("r.rngcollation", "r.rngsubtype")} END AS collation,
  (SELECT coalesce(json_agg(json_build_object('name', k.conname, 'sql', pg_get_expr(k.conbin, 0)) ORDER BY k.oid), '[]')
   FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c') AS checks,
  (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', ${typeUseSql("a.atttypid", "a.atttypmod")},
     'collation', ${collationSql("a.attcollation", "a.atttypid")}) ORDER BY a.attnum), '[]')
   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS attributes,
  ${needsSql(`d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.refclassid = 'pg_collation'::regclass
    OR d.classid = 'pg_constraint'::regclass AND d.objid IN (SELECT k.oid FROM pg_constraint k WHERE k.contypid = t.oid)`)} AS needs
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class c ON c.oid = t.typrelid
LEFT JOIN pg_range r ON r.rngtypid = t.oid
LEFT JOIN pg_depend o ON o.classid = 'pg_type'::regclass AND o.objid = t.oid AND o.deptype = 'e'
LEFT JOIN pg_extension x ON x.oid = o.refobjid
WHERE (${notSystem} OR x.oid IS NOT NULL) AND t.typtype IN ('b', 'e', 'd', 'c', 'r')
  AND (t.typtype <> 'c' OR c.relkind = 'c') AND (t.typtype = 'd' OR t.typcategory <> 'A')
ORDER BY t.oid`;

/**
 * The index whose columns Debezium 3.6 sends as the key of the table `c`: the primary key, else the first unique index without
 * expressions, clustered ones before others, by name. Neither the replica identity nor whether it is partial, has nullable
 * columns or carries more by INCLUDE makes a difference to it.
 */
export const sentKeyIndexSql = `(
  SELECT i.*, x.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
  WHERE i.indrelid = c.oid AND i.indisunique AND 0 <> ALL (i.indkey::int2[])
  ORDER BY i.indisprimary DESC, i.indisclustered DESC, x.relname LIMIT 1)`;

/** Whether no two rows can share the key of the index `i` and all its columns are always there: it can be a primary key. */
export const isSoundKeySql = `(i.indisprimary OR i.indpred IS NULL AND i.indnatts = i.indnkeyatts AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_attribute ka WHERE ka.attrelid = i.indrelid AND ka.attnum = ANY (i.indkey::int2[]) AND NOT ka.attnotnull))`;

/**
 * Partitions are left out: their root stands for them, since the publication has publish_via_partition_root.
 * Tables of extensions are filled by the extension itself.
 */
const tablesSql = `
SELECT n.nspname AS schema, c.relname AS name, c.relpersistence = 'p' AS logged,
  (SELECT coalesce(json_agg(ka.attname ORDER BY k.position), '[]')
   FROM ${sentKeyIndexSql} i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, position), pg_attribute ka
   WHERE ${isSoundKeySql} AND k.position <= i.indnkeyatts AND ka.attrelid = c.oid AND ka.attnum = k.attnum) AS key,
  (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', ${typeUseSql("a.atttypid", "a.atttypmod")},
     'collation', ${collationSql("a.attcollation", "a.atttypid")}, 'notNull', a.attnotnull,
     'before', CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END,
     'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(g.adbin, c.oid) END,
     'needs', ${needsSql(`d.classid = 'pg_attrdef'::regclass AND d.objid = g.oid AND a.attgenerated <> ''
       OR d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = a.attnum AND d.refclassid = 'pg_collation'::regclass`)})
     ORDER BY a.attnum), '[]')
   FROM pg_attribute a LEFT JOIN pg_attrdef g ON g.adrelid = c.oid AND g.adnum = a.attnum
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND ${notSystem}
  AND NOT EXISTS (SELECT FROM pg_depend o WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.deptype = 'e')
ORDER BY c.oid`;

const namesSql = `
SELECT 'function ' || p.oid::regprocedure::text AS name FROM pg_proc p WHERE p.pronamespace <> 'pg_catalog'::regnamespace
UNION ALL SELECT 'operator ' || o.oid::regoperator::text FROM pg_operator o WHERE o.oprnamespace <> 'pg_catalog'::regnamespace
UNION ALL SELECT ${collationName} FROM pg_collation`;

/** The user's part of a database's catalog. The session's search_path must be pg_catalog, so that names come qualified. */
export async function readCatalog(client: pg.ClientBase): Promise<Catalog> {
  const schemas = await client.query<{ name: string }>(
    "SELECT nspname AS name FROM pg_namespace ORDER BY oid",
  );
  const extensions = await client.query<{ name: string; schema: string }>(
    "SELECT x.extname AS name, n.nspname AS schema FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace ORDER BY x.oid",
  );
  const types = await client.query<CatalogType>(typesSql);
  const tables = await client.query<CatalogTable>(tablesSql);
  const names = await client.query<{ name: string }>(namesSql);
  return {
    schemas: schemas.rows.map((row) => row.name),
    extensions: extensions.rows,
    types: types.rows,
    tables: tables.rows,
    names: new Set(names.rows.map((row) => row.name)),
  };
}
