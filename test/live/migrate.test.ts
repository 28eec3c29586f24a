import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { readTableFacts, type TableFacts } from "../../src/catalog/preflight.ts";
import { readTable } from "../../src/catalog/read-table.ts";
import { migrate } from "../../src/cli/migrate.ts";
import type { Config } from "../../src/config/config.ts";
import { openPool } from "../../src/sink/connect.ts";
import { requireSchema } from "../../src/sink/migrations.ts";
import { createDatabase } from "../support/database.ts";

const nastySchema = String.raw`
CREATE SCHEMA "Shop & ""Co"""; CREATE SCHEMA ext;
CREATE EXTENSION citext WITH SCHEMA ext; CREATE EXTENSION hstore WITH SCHEMA ext; CREATE EXTENSION ltree WITH SCHEMA public;
CREATE TYPE public."Mood's" AS ENUM ('it''s', 'a"b', 'back\slash', 'plain');
CREATE DOMAIN public.positive AS numeric(12,4) CHECK (VALUE > 0);
CREATE DOMAIN public.small AS public.positive CONSTRAINT "Up to" CHECK (VALUE < 1000) NOT NULL;
CREATE DOMAIN public.code AS varchar(8) COLLATE "C";
CREATE TYPE public.pair AS (a integer, "B" public."Mood's");
CREATE DOMAIN public.tags AS text[] CHECK (cardinality(VALUE) < 5);
CREATE TYPE public.price_range AS RANGE (SUBTYPE = numeric, MULTIRANGE_TYPE_NAME = public."Many Prices");
CREATE TABLE public.every_type (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s smallint, n numeric(20,5), n0 numeric, r real, d double precision,
  m money, v varchar(17), v0 varchar, c char(3), ch "char", t text COLLATE "C" NOT NULL, b bytea, bo boolean DEFAULT true,
  da date, ti time(3), tz timetz, ts timestamp(0), tstz timestamptz(3), iv interval day to second(2), u uuid, j json,
  jb jsonb, x xml, inet_ inet, ci cidr, ma macaddr, bi bit(5), vb varbit(9), p point, po polygon, tv tsvector,
  ir int4range, mr tstzmultirange, pr public.price_range, mp public."Many Prices", tg public.tags, tga public.tags[], sma public.small[], ia integer[][], va varchar(4)[], ea public."Mood's"[],
  e public."Mood's" NOT NULL, sm public.small, co public.code, pa public.pair, ct ext.citext, h ext.hstore, l public.ltree,
  g numeric GENERATED ALWAYS AS (n * 2) STORED, g2 text GENERATED ALWAYS AS (upper(t) || 'x') STORED,
  g3 boolean GENERATED ALWAYS AS (ct = 'a'::ext.citext) STORED
);
CREATE TABLE "Shop & ""Co"""."Order Items" ("Text Key" text, "select" integer, "a""b" integer, PRIMARY KEY ("select", "Text Key"));
CREATE TABLE public.keyless (a integer, b text UNIQUE);
CREATE TABLE public.included (id integer, note text, PRIMARY KEY (id) INCLUDE (note));
CREATE TABLE public.parted (id integer, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE UNLOGGED TABLE public.scratch (id integer);`;

/** One line a column: what both databases must agree on. */
const shapeSql = `
SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, a.attcollation::regcollation::text AS collation,
  a.attgenerated, pg_get_expr(d.adbin, c.oid) AS expression,
  (SELECT k.n FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(attnum, n)
   WHERE i.indrelid = c.oid AND i.indisprimary AND k.attnum = a.attnum AND k.n <= i.indnkeyatts) AS key_index
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum AND a.attgenerated <> ''
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' AND n.nspname !~ '^(pg_|information_schema|sluice)'
  AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> '_sluice_lsn' ORDER BY 1, 2, a.attnum`;

const typesSql = `
SELECT t.oid::regtype::text AS type, format_type(t.typbasetype, t.typtypmod) AS base, t.typnotnull, t.typcollation::regcollation::text AS collation,
  (SELECT array_agg(enumlabel ORDER BY enumsortorder)::text FROM pg_enum WHERE enumtypid = t.oid) AS labels,
  (SELECT array_agg(conname || pg_get_constraintdef(k.oid) ORDER BY conname)::text FROM pg_constraint k WHERE contypid = t.oid) AS checks
FROM pg_type t WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd', 'r', 'm') ORDER BY 1`;

type Pool = ReturnType<typeof openPool>;

/** As the commands connect. */
async function withPool<Result>(url: string, use: (pool: Pool) => Promise<Result>): Promise<Result> {
  const pool = openPool({ url, applicationName: "test", max: 1 });
  try {
    return await use(pool);
  } finally {
    await pool.end();
  }
}

async function query(url: string, sql: string): Promise<readonly object[]> {
  return withPool(url, async (pool) => (await pool.query<object>(sql)).rows);
}

async function factsOf(url: string): Promise<readonly TableFacts[]> {
  return withPool(url, readTableFacts);
}

function configOf(databaseUrl: string, sourceUrl?: string): Config {
  // Only what migrate reads; the rest belongs to other commands.
  return { databaseUrl, sourceUrl, tables: [] as readonly string[] } as Config;
}

async function migrateOnce(config: Config, dryRun = false): Promise<readonly string[]> {
  const lines: string[] = [];
  const options = {
    fromSource: config.sourceUrl !== undefined,
    dryRun,
    write: (line: string) => lines.push(line),
  };
  expect(await migrate(config, options)).toBe(0);
  return lines;
}

test("the read database gets the primary's tables, and later what is new there", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await using target = await createDatabase(inject("postgresUrl"));
  const config = configOf(target.url, source.url);
  await query(source.url, nastySchema);

  expect((await migrateOnce(config, true)).join("\n")).toContain("CREATE TABLE sluice.shard");
  expect(await query(target.url, shapeSql)).toEqual([]);
  expect(await migrateOnce(config)).toContain("bookkeeping 1 bookkeeping");
  expect(await query(target.url, shapeSql)).toEqual(await query(source.url, shapeSql));
  expect(await query(target.url, typesSql)).toEqual(await query(source.url, typesSql));
  expect(await migrateOnce(config)).toEqual([]);
  expect(await migrateOnce(config, true)).toEqual([]);

  await query(target.url, `INSERT INTO public.keyless (a) VALUES (1)`);
  await query(source.url, `ALTER TYPE public."Mood's" ADD VALUE 'new' BEFORE 'a"b'`);
  await query(
    source.url,
    `ALTER TYPE public.pair ADD ATTRIBUTE z text; ALTER TABLE public.keyless ADD COLUMN "New" date NOT NULL DEFAULT now();
     ALTER TABLE public.included ADD COLUMN n integer NOT NULL DEFAULT 1;
     CREATE TABLE public.later (e public."Mood's" PRIMARY KEY)`,
  );
  expect(await migrateOnce(config)).toEqual([
    `alter type "public"."Mood's"`,
    'alter type "public"."pair"',
    'add column "public"."keyless"."New"',
    'add column "public"."included"."n"',
    'create table "public"."later"',
  ]);
  expect(await query(target.url, typesSql)).toEqual(await query(source.url, typesSql));
  // Changes from before the primary had the column lack its value.
  await query(target.url, "INSERT INTO public.included (id) VALUES (1)");
  expect(await migrateOnce(config)).toEqual([]);
});

test("a dry run prints a script that leaves nothing to do once it was run", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await using target = await createDatabase(inject("postgresUrl"));
  const config = configOf(target.url, source.url);
  await query(source.url, nastySchema);
  // Statement by statement, as psql would: a new label cannot be used in the transaction that adds it.
  for (const sql of await migrateOnce(config, true)) await query(target.url, sql);
  expect(await migrateOnce(config)).toEqual([]);
});

test("a role that may not do it is told so, by database", async () => {
  await using target = await createDatabase(inject("postgresUrl"));
  const role = `${target.name}_role`;
  const weak = new URL(target.url);
  weak.username = role;
  weak.password = "weak";
  await query(target.url, `CREATE ROLE ${role} LOGIN PASSWORD 'weak'`);
  try {
    await expect(migrateOnce(configOf(weak.href))).rejects.toMatchObject({
      code: "PERMISSION_DENIED",
      message: expect.stringContaining("the read database"),
    });
  } finally {
    await query(target.url, `DROP ROLE ${role}`);
  }
});

test("a function that the read database lacks is named, and the run goes on once it is there", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await using target = await createDatabase(inject("postgresUrl"));
  const config = configOf(target.url, source.url);
  const tax =
    "CREATE FUNCTION public.tax(n numeric) RETURNS numeric IMMUTABLE LANGUAGE sql AS 'SELECT n * 2'";
  await query(
    source.url,
    `${tax}; CREATE TABLE public.bill (n numeric, t numeric GENERATED ALWAYS AS (public.tax(n)) STORED);
     CREATE TABLE public.other (id integer)`,
  );
  await expect(migrateOnce(config)).rejects.toMatchObject({
    code: "MIGRATION_FAILED",
    message: expect.stringContaining("function public.tax(numeric)"),
    remedy: expect.stringContaining("Create the function"),
  });
  await query(target.url, tax);
  expect(await migrateOnce(config)).toEqual(['create table "public"."bill"']);
});

test("without the primary, existing tables get the position column", async () => {
  await using target = await createDatabase(inject("postgresUrl"));
  await query(target.url, "CREATE TABLE public.a (id integer); CREATE TABLE public.b () INHERITS (public.a)");
  await migrateOnce(configOf(target.url));
  expect(await query(target.url, "SELECT _sluice_lsn FROM public.b")).toEqual([]);
  expect(await migrateOnce(configOf(target.url))).toEqual([]);
});

test("several runs at once apply each bookkeeping file once", async () => {
  await using target = await createDatabase(inject("postgresUrl"));
  const runs = await Promise.all([1, 2, 3, 4].map(() => migrateOnce(configOf(target.url))));
  const files = readdirSync(join(import.meta.dirname, "..", "..", "migrations"));
  const lines = files.map((file) => file.replace(/^0*(\d+)_(\w+)\.sql$/, "bookkeeping $1 $2"));
  expect(runs.flat().sort()).toEqual(lines.sort());
});

test("the bookkeeping schema is required, and a newer one is refused", async () => {
  await using target = await createDatabase(inject("postgresUrl"));
  const pool = openPool({ url: target.url, applicationName: "test", max: 1 });
  try {
    const client = await pool.connect();
    await expect(requireSchema(client)).rejects.toMatchObject({ code: "SCHEMA_MISSING" });
    await migrateOnce(configOf(target.url));
    await expect(requireSchema(client)).resolves.toBeUndefined();
    await client.query("INSERT INTO sluice.migration (version, name) VALUES (9999, 'future')");
    await expect(requireSchema(client)).rejects.toMatchObject({ code: "SCHEMA_TOO_NEW" });
    await expect(migrateOnce(configOf(target.url))).rejects.toMatchObject({ code: "SCHEMA_TOO_NEW" });
    client.release();
  } finally {
    await pool.end();
  }
});

test("errors name the database and what to do", async () => {
  await using target = await createDatabase(inject("postgresUrl"));
  const nowhere = "postgres://nobody@127.0.0.1:1/none";
  const write = (): void => undefined;
  const run = (config: Config) => migrate(config, { fromSource: true, dryRun: false, write });
  await expect(run(configOf(target.url, `${target.url}_wrong`))).rejects.toMatchObject({
    code: "DATABASE_REFUSED",
    place: { option: "SLUICE_SOURCE_URL" },
  });
  await expect(run(configOf(target.url))).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  await expect(run(configOf(target.url, nowhere))).rejects.toMatchObject({
    code: "DATABASE_UNAVAILABLE",
    message: expect.stringContaining("the primary"),
  });
  await expect(run(configOf(nowhere, target.url))).rejects.toMatchObject({
    code: "DATABASE_UNAVAILABLE",
    message: expect.stringContaining("the read database"),
  });
});

const keysSchema = `
CREATE TABLE of_key (id int PRIMARY KEY, b int NOT NULL UNIQUE, note text);
CREATE TABLE of_included (id int, note text, PRIMARY KEY (id) INCLUDE (note));
CREATE TABLE of_index (a text NOT NULL, b int NOT NULL, note text);
CREATE UNIQUE INDEX of_index_key ON of_index (b, a);
ALTER TABLE of_index REPLICA IDENTITY USING INDEX of_index_key;
CREATE TABLE of_first (a int NOT NULL, b int NOT NULL);
CREATE UNIQUE INDEX a_expression ON of_first ((a + b));
CREATE UNIQUE INDEX c_index ON of_first (a);
CREATE UNIQUE INDEX b_index ON of_first (b);
CREATE TABLE of_clustered (a int NOT NULL, b int NOT NULL);
CREATE UNIQUE INDEX clustered_a ON of_clustered (a);
CREATE UNIQUE INDEX clustered_b ON of_clustered (b);
ALTER TABLE of_clustered CLUSTER ON clustered_b;
CREATE TABLE other_logged (id int PRIMARY KEY, b int NOT NULL);
CREATE UNIQUE INDEX other_b ON other_logged (b);
ALTER TABLE other_logged REPLICA IDENTITY USING INDEX other_b;
CREATE TABLE nullable (a int UNIQUE, b int);
CREATE TABLE partial (a int NOT NULL, b int);
CREATE UNIQUE INDEX partial_a ON partial (a) WHERE b > 1;
CREATE TABLE including (a int NOT NULL, b int NOT NULL);
CREATE UNIQUE INDEX including_a ON including (a) INCLUDE (b);
CREATE TABLE without (a int, b int[][]);`;

test("a table gets the key that Debezium sends with its changes, if it can be one", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await using target = await createDatabase(inject("postgresUrl"));
  await source.query(keysSchema);
  await migrateOnce(configOf(target.url, source.url));
  const found = (await factsOf(source.url)).map(async ({ schema, table, id, sentKey }) => {
    const { key } = (await readTable(target.pool, { schema, table, id })) ?? {};
    return [table, sentKey?.columns, key, sentKey?.sound, sentKey?.logged];
  });
  expect((await factsOf(source.url)).flatMap(({ unsent }) => unsent)).toEqual(["b"]);
  expect(await Promise.all(found)).toEqual([
    ["including", ["a", "b"], [], false, true],
    ["nullable", ["a"], [], false, true],
    ["of_clustered", ["b"], ["b"], true, true],
    ["of_first", ["b"], ["b"], true, true],
    ["of_included", ["id"], ["id"], true, true],
    ["of_index", ["b", "a"], ["b", "a"], true, true],
    ["of_key", ["id"], ["id"], true, true],
    ["other_logged", ["id"], ["id"], true, false],
    ["partial", ["a"], [], false, true],
    ["without", undefined, [], undefined, undefined],
  ]);
});

test("rows that are older than a column have in it what they have on the primary", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await using target = await createDatabase(inject("postgresUrl"));
  const config = configOf(target.url, source.url);
  await source.query("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  await migrateOnce(config);
  await target.query("INSERT INTO t VALUES (1)");
  await source.query(
    `ALTER TABLE t ADD a text DEFAULT 'it''s', ADD b int[] NOT NULL DEFAULT '{1,2}', ADD c timestamptz DEFAULT '2024-01-02 03:04+05',
       ADD d bytea DEFAULT '\\xdead', ADD e jsonb DEFAULT '{"k": ["a, b"]}', ADD f text`,
  );
  await source.query("ALTER TABLE t ALTER a SET DEFAULT 'newer'");
  await migrateOnce(config);
  // An image from before the column was added, applied after it.
  await source.query("INSERT INTO t SELECT 2, a, b, c, d, e FROM t");
  await target.query("INSERT INTO t (id) VALUES (2)");
  const rows = "SELECT id, a, b, c, d, e, f FROM t ORDER BY id";
  expect(await target.query(rows)).toEqual(await source.query(rows));
});
