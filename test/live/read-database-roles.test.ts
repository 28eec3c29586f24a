import { delimiter, join } from "node:path";
import pg from "pg";
import { expect, it } from "vitest";
import { findPostgresFolder } from "../../demo/local/locate.ts";
import { startPostgres } from "../../demo/local/postgres-cluster.ts";
import { runToEnd } from "../../demo/local/process.ts";
import { createTempFolder } from "../../demo/local/temp-folder.ts";
import { runSluice } from "../support/sluice-process.ts";

const script = join(import.meta.dirname, "../../docker/read-database.sh");

async function query(url: string, sql: string): Promise<object[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<object>(sql)).rows;
  } finally {
    await client.end();
  }
}

it("the roles that compose makes: sluice creates and writes, reader reads what sluice makes later, and nothing else", async () => {
  // A cluster of its own: the roles have fixed names.
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(createTempFolder("sluice-roles-")).path;
  const cluster = await startPostgres({ folder: join(folder, "cluster"), database: "app" });
  stack.defer(() => cluster.stop());
  const as = (role: string, database = "app"): string =>
    `postgresql://${role}@127.0.0.1:${cluster.port}/${database}`;
  await query(as("postgres"), "CREATE DATABASE primary_app");
  await runToEnd("bash", [script], {
    env: {
      ...process.env,
      PATH: [findPostgresFolder(), process.env["PATH"]].join(delimiter),
      PGHOST: "127.0.0.1",
      PGPORT: String(cluster.port),
      POSTGRES_USER: "postgres",
      POSTGRES_DB: "app",
      WRITER_ROLE_PASSWORD: "writer's",
      READER_ROLE_PASSWORD: "reader's",
    },
  });
  const environment = {
    SLUICE_DATABASE_URL: as("sluice"),
    SLUICE_SOURCE_URL: as("postgres", "primary_app"),
  };
  const migrate = async (newTable: string): Promise<void> => {
    await query(as("postgres", "primary_app"), newTable);
    expect(await runSluice(["migrate", "--from-source"], environment)).toMatchObject({ code: 0, stderr: "" });
  };
  await migrate(
    "CREATE EXTENSION citext; CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, email citext)",
  );
  await query(as("sluice"), "INSERT INTO shop.orders VALUES (1, 'a@b')");
  const orders = "SELECT id, email FROM shop.orders";
  expect(await query(as("reader"), orders)).toEqual([{ id: 1, email: "a@b" }]);
  await migrate("CREATE TABLE public.later (id int PRIMARY KEY)");
  expect(await query(as("reader"), "SELECT id FROM public.later")).toEqual([]);

  const insert = "INSERT INTO shop.orders VALUES (2)";
  await expect(query(as("reader"), insert)).rejects.toMatchObject({ code: "25006" });
  for (const writing of [
    insert,
    "TRUNCATE shop.orders",
    "CREATE SCHEMA own",
    "UPDATE sluice.shard SET epoch = 0",
  ]) {
    const anyway = query(`${as("reader")}?options=-cdefault_transaction_read_only%3Doff`, writing);
    await expect(anyway, writing).rejects.toMatchObject({ code: "42501" });
  }
  // Nobody else gets in.
  await query(as("postgres"), "CREATE ROLE stranger LOGIN");
  await expect(query(as("stranger"), "SELECT 1")).rejects.toMatchObject({ code: "42501" });
});
