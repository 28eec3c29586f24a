import { expect, inject, it } from "vitest";
import { compareDatabases } from "../../demo/compare.ts";
import { startLoad } from "../../demo/load.ts";
import { existingRowsSql, schemaSql } from "../../demo/schema.ts";
import { createDatabase } from "../support/database.ts";

const slow = { timeout: 20_000, interval: 20 };

it("a primary without tables is no equal one: a comparison of nothing fails", async () => {
  await using primary = await createDatabase(inject("postgresUrl"));
  await using read = await createDatabase(inject("postgresUrl"));
  await read.query("CREATE TABLE rows_of_its_own (id int)");
  await expect(compareDatabases(primary.url, read.url)).rejects.toThrow("no tables");
  await expect(compareDatabases(primary.url, read.url, { tables: [] })).rejects.toThrow("no tables");
});

it("a comparison tells the row that is missing, the one too many, and the column that differs", async () => {
  await using primary = await createDatabase(inject("postgresUrl"));
  await using read = await createDatabase(inject("postgresUrl"));
  for (const { query } of [primary, read])
    await query("CREATE TABLE t (id int PRIMARY KEY, a text, b numeric)");
  await primary.query("INSERT INTO t VALUES (1, 'x', 1.0), (2, 'y', 2), (10, 'z', NULL)");
  await read.query("INSERT INTO t VALUES (1, 'x', 1.00), (3, 'y', 2), (10, 'z', NULL)");
  expect(await compareDatabases(primary.url, read.url)).toMatchObject({
    equal: false,
    tables: [
      {
        ...{ table: "public.t", rows: 3, equal: false },
        differences: [
          "id=1 differs in b",
          "id=2 is missing in the read database",
          "id=3 is not in the primary",
        ],
      },
    ],
  });
});

it("a load that breaks says so at once, and why", async () => {
  await using primary = await createDatabase(inject("postgresUrl"));
  await primary.query(schemaSql);
  await primary.query(existingRowsSql);
  const load = startLoad(primary.url);
  await expect.poll(() => load.transactions, slow).toBeGreaterThan(5);
  expect(load.broken.aborted).toBe(false);
  const drop = (): Promise<unknown> => primary.query("DROP TABLE shop.order_items");
  // It may meet a transaction of the load crosswise, and one of the two is then ended.
  await drop().catch(drop);
  await expect.poll(() => load.broken.aborted, slow).toBe(true);
  await expect(load.stop()).rejects.toThrow(/order_items|deadlock/);
});

it("a load whose primary ends its connections has broken too", async () => {
  await using primary = await createDatabase(inject("postgresUrl"));
  await primary.query(schemaSql);
  await primary.query(existingRowsSql);
  const load = startLoad(primary.url);
  await expect.poll(() => load.transactions, slow).toBeGreaterThan(5);
  await primary.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
  );
  await expect.poll(() => load.broken.aborted, slow).toBe(true);
  await expect(load.stop()).rejects.toThrow();
});
