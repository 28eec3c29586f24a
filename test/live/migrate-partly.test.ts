import { expect, inject, it } from "vitest";
import { createDatabase, type TestDatabase } from "../support/database.ts";
import { runSluice, type SluiceRun } from "../support/sluice-process.ts";

/** `sluice migrate` where it is to do, or can do, a part only. */

const tables = `
  CREATE EXTENSION hstore;
  CREATE DOMAIN attributes AS hstore;
  CREATE TABLE plain (id int PRIMARY KEY);
  CREATE TABLE with_type (id int PRIMARY KEY, h hstore);
  CREATE TABLE with_domain (id int PRIMARY KEY, h attributes);
  CREATE TABLE with_function (id int PRIMARY KEY, t text[], h text GENERATED ALWAYS AS (hstore(t)::text) STORED);
  CREATE TABLE other (id int PRIMARY KEY)`;

function migrate(target: string, source: string, ...flags: readonly string[]): Promise<SluiceRun> {
  return runSluice(["migrate", ...flags], { SLUICE_DATABASE_URL: target, SLUICE_SOURCE_URL: source });
}

/** Tables that are ready for changes. */
async function prepared(db: TestDatabase): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE a.attname = '_sluice_lsn' AND c.relnamespace = 'public'::regnamespace ORDER BY 1`,
  );
  return rows.map((row) => row.name);
}

const everything = ["other", "plain", "with_domain", "with_function", "with_type"];
const containing = (text: string): string => expect.stringContaining(text) as string;

it("an extension that the role may not create holds up only the tables that need it; once it is there, the rest follows", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await using target = await createDatabase(inject("postgresUrl"));
  await source.query(tables);
  await target.query("CREATE TABLE other (id int PRIMARY KEY)");
  // The bookkeeping by somebody with more rights, as where a person runs `migrate --dry-run`'s script.
  expect(await migrate(target.url, target.url)).toMatchObject({ code: 0 });
  await target.query("ALTER TABLE other DROP COLUMN _sluice_lsn");
  await using role = await createRole(target);
  await target.query(
    `GRANT CREATE ON SCHEMA public TO ${role.name}; GRANT USAGE ON SCHEMA sluice TO ${role.name};
     GRANT ALL ON ALL TABLES IN SCHEMA sluice TO ${role.name}; ALTER TABLE other OWNER TO ${role.name}`,
  );
  const run = await migrate(role.url, source.url, "--from-source");
  expect(run.code).toBe(1);
  expect(run.stdout.trimEnd().split("\n")).toEqual([
    'create table "public"."plain"',
    'add column "public"."other"."_sluice_lsn"',
  ]);
  expect(run.stderr).toContain('error MIGRATION_FAILED: cannot create extension "hstore": permission denied');
  expect(run.stderr).toContain(
    'left out: "public"."with_type", "public"."with_domain", "public"."with_function"',
  );
  const asSuperuser = /run: (CREATE EXTENSION .*);/.exec(run.stderr)?.[1] ?? "";
  expect(await prepared(target)).toEqual(["other", "plain"]);

  await target.query(asSuperuser);
  expect(await migrate(role.url, source.url, "--from-source")).toMatchObject({ code: 0 });
  expect(await prepared(target)).toEqual(everything);
});

it.each(["0A000", "58P01"])(
  "an extension that the server does not have (%s) holds up only the tables that need it",
  async (state) => {
    await using source = await createDatabase(inject("postgresUrl"));
    await using target = await createDatabase(inject("postgresUrl"));
    await source.query(tables);
    await refuseExtensions(target, state);
    expect(await migrate(target.url, source.url, "--from-source")).toMatchObject({
      code: 1,
      stderr: containing("Install the extension hstore on the read database's server"),
    });
    expect(await prepared(target)).toEqual(["other", "plain"]);
  },
);

it("an extension that no table needs is no problem", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await using target = await createDatabase(inject("postgresUrl"));
  await source.query("CREATE EXTENSION hstore; CREATE TABLE a (id int PRIMARY KEY, h hstore)");
  await target.query("CREATE TABLE a (id int PRIMARY KEY, h text)");
  await refuseExtensions(target, "0A000");
  expect(await migrate(target.url, source.url, "--from-source")).toMatchObject({ code: 0, stderr: "" });
  expect(await prepared(target)).toEqual(["a"]);
});

it("where the primary is known, tables that only the read database has are left alone", async () => {
  await using source = await createDatabase(inject("postgresUrl"));
  await using target = await createDatabase(inject("postgresUrl"));
  await source.query("CREATE TABLE orders (id int PRIMARY KEY)");
  await target.query("CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE notes (id int PRIMARY KEY)");
  expect(await migrate(target.url, source.url)).toMatchObject({ code: 0 });
  expect(await prepared(target)).toEqual(["orders"]);
  expect(await migrate(target.url, "")).toMatchObject({ code: 0 });
  expect(await prepared(target)).toEqual(["notes", "orders"]);
});

/** As a server without their files answers. */
async function refuseExtensions(db: TestDatabase, state: string): Promise<void> {
  await db.query(
    `CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'extension is not available' USING ERRCODE = '${state}'; END $$;
     CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN tag IN ('CREATE EXTENSION') EXECUTE FUNCTION refuse()`,
  );
}

interface Role extends AsyncDisposable {
  readonly name: string;
  /** The database, as this role. */
  readonly url: string;
}

async function createRole(db: TestDatabase): Promise<Role> {
  const name = `${db.name}_role`;
  await db.query(`CREATE ROLE ${name} LOGIN`);
  const url = new URL(db.url);
  url.username = name;
  return {
    name,
    url: url.href,
    [Symbol.asyncDispose]: async () => void (await db.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`)),
  };
}
