import { readdir, readFile } from "node:fs/promises";
import type pg from "pg";
import { SluiceError } from "../errors/sluice-error.ts";

/** One file of `migrations/`, `<version>_<name>.sql`. Forward only: an applied file is never changed. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/** The package's root is two folders up, from `src/sink` as from `dist/sink`. */
const folder = new URL("../../migrations/", import.meta.url);

/** Any constant serves, as long as nobody else takes it: "sluice" in ASCII. */
const lockKey = "126944811115365";

const migrationTableSql =
  "CREATE TABLE sluice.migration (version int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";

async function readMigrations(): Promise<readonly Migration[]> {
  const files = (await readdir(folder)).filter((file) => /^\d+_.+\.sql$/.test(file)).sort();
  return Promise.all(
    files.map(async (file) => ({
      version: Number.parseInt(file, 10),
      name: file.replace(/^\d+_/, "").replace(/\.sql$/, ""),
      sql: await readFile(new URL(file, folder), "utf8"),
    })),
  );
}

/** What the database still lacks, in order. Throws SCHEMA_TOO_NEW when a newer sluice wrote the schema. */
async function pendingMigrations(client: pg.ClientBase): Promise<readonly Migration[]> {
  const migrations = await readMigrations();
  const version = await databaseVersion(client);
  refuseNewer(version, newest(migrations));
  return migrations.filter((migration) => migration.version > version);
}

/** What `applyMigrations` would run, as one script: for those who let a person with more rights run it. */
export async function migrationScript(client: pg.ClientBase): Promise<readonly string[]> {
  const pending = await pendingMigrations(client);
  if (pending.length === 0) return [];
  const recorded = pending.flatMap(({ version, name, sql }) => [
    sql.trimEnd(),
    `INSERT INTO sluice.migration (version, name) VALUES (${version}, '${name}');`,
  ]);
  return [...(await missingMigrationTable(client)).map((sql) => `${sql};`), ...recorded];
}

/**
 * Applies what is missing and returns it. Each file has a transaction of its own and looks again under the lock, so two
 * runs at once apply it once.
 */
export async function applyMigrations(client: pg.ClientBase): Promise<readonly Migration[]> {
  const known = newest(await readMigrations());
  const applied: Migration[] = [];
  for (const migration of await pendingMigrations(client)) {
    if (await applyOne(client, migration, known)) applied.push(migration);
  }
  return applied;
}

/** Throws unless the bookkeeping schema is exactly the one that this program knows. */
export async function requireSchema(client: pg.ClientBase): Promise<void> {
  const known = newest(await readMigrations());
  const version = await databaseVersion(client);
  refuseNewer(version, known);
  if (version < known) {
    const found = version === 0 ? "is missing" : `has version ${version}`;
    throw new SluiceError(
      "SCHEMA_MISSING",
      `the schema sluice ${found}; this program needs version ${known}`,
    );
  }
}

/** Lets one `sluice migrate` at a time change tables; held until the connection ends. */
export async function lockMigrations(client: pg.ClientBase): Promise<void> {
  await client.query(`SELECT pg_advisory_lock(${lockKey})`);
}

async function applyOne(client: pg.ClientBase, migration: Migration, known: number): Promise<boolean> {
  await client.query("BEGIN");
  try {
    await client.query(`SELECT pg_advisory_xact_lock(${lockKey})`);
    for (const sql of await missingMigrationTable(client)) await client.query(sql);
    const version = await databaseVersion(client);
    refuseNewer(version, known);
    const missing = version < migration.version;
    if (missing) {
      await client.query(migration.sql);
      await client.query("INSERT INTO sluice.migration (version, name) VALUES ($1, $2)", [
        migration.version,
        migration.name,
      ]);
    }
    await client.query("COMMIT");
    return missing;
  } catch (error) {
    // The first error tells more than a failed rollback on a broken connection.
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/** Looks before it creates: IF NOT EXISTS asks for the right to create even when there is nothing to do. */
async function missingMigrationTable(client: pg.ClientBase): Promise<readonly string[]> {
  const { rows } = await client.query<{ schema: boolean; table: boolean }>(
    `SELECT to_regnamespace('sluice') IS NOT NULL AS "schema", to_regclass('sluice.migration') IS NOT NULL AS "table"`,
  );
  return [
    ...(rows[0]?.schema === true ? [] : ["CREATE SCHEMA sluice"]),
    ...(rows[0]?.table === true ? [] : [migrationTableSql]),
  ];
}

/** 0: nothing was ever applied. */
async function databaseVersion(client: pg.ClientBase): Promise<number> {
  const table = await client.query<{ found: boolean }>(
    "SELECT to_regclass('sluice.migration') IS NOT NULL AS found",
  );
  if (table.rows[0]?.found !== true) return 0;
  const { rows } = await client.query<{ version: number }>(
    "SELECT coalesce(max(version), 0) AS version FROM sluice.migration",
  );
  return rows[0]?.version ?? 0;
}

function newest(migrations: readonly Migration[]): number {
  return Math.max(0, ...migrations.map((migration) => migration.version));
}

function refuseNewer(version: number, known: number): void {
  if (version <= known) return;
  throw new SluiceError(
    "SCHEMA_TOO_NEW",
    `the schema sluice has version ${version}; this program knows up to ${known}`,
  );
}
