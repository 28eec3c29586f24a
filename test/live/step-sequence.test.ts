import type pg from "pg";
import { expect, inject, it } from "vitest";
import { openPool } from "../../src/sink/connect.ts";
import { StepSequence, type Step } from "../../src/sink/step-sequence.ts";
import { createDatabase } from "../support/database.ts";

interface Scene {
  readonly run: (...steps: readonly Step[]) => Promise<readonly number[]>;
  readonly ids: () => Promise<unknown[]>;
  readonly client: pg.PoolClient;
}

async function withTable(test: (scene: Scene) => Promise<void>): Promise<void> {
  await using db = await createDatabase(inject("postgresUrl"));
  await db.query("CREATE TABLE a (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, note text)");
  const pool = openPool({ url: db.url, applicationName: "test", max: 1, applying: true });
  const client = await pool.connect();
  const run = (...steps: readonly Step[]): Promise<readonly number[]> => {
    const sequence = new StepSequence(client);
    for (const step of steps) sequence.add(step);
    return sequence.run();
  };
  const ids = async () =>
    (await db.query<{ id: number }>("SELECT id FROM a ORDER BY id")).map(({ id }) => id);
  await test({ run, ids, client });
  client.release();
  await pool.end();
}

const insert = (...ids: readonly number[]): Step => ({
  text: "INSERT INTO a SELECT unnest($1::int[])",
  values: [`{${ids.join(",")}}`],
});
const copy = (rows: string): Step => ({
  text: "COPY a (id) FROM STDIN",
  values: [],
  rows: Buffer.from(rows),
});
const fail: Step = { text: "SELECT 1 / $1::int", values: ["0"] };

it("gives the rows of each step, in one transaction", () =>
  withTable(async ({ run, ids }) => {
    const seen: Step = { text: "INSERT INTO a SELECT 100 + count(*)::int FROM a", values: [] };
    expect(await run(insert(1, 2), copy("3\n4\n5\n"), seen, insert())).toEqual([2, 3, 1, 0]);
    expect(await run(insert(6), { text: "DELETE FROM a WHERE id < $1::int", values: ["3"] })).toEqual([1, 2]);
    expect(await ids()).toEqual([3, 4, 5, 6, 105]);
  }));

it("writes nothing when one fails, says what that means, and leaves the connection in order", () =>
  withTable(async ({ run, ids, client }) => {
    const meant = { ...fail, failed: (error: unknown) => new Error("meant", { cause: error }) };
    await expect(run(insert(1), meant, insert(2))).rejects.toThrow("meant");
    await expect(run(insert(1), fail)).rejects.toMatchObject({ code: "22012" });
    await expect(run(insert(1), copy("2\nx\n"), insert(3))).rejects.toMatchObject({ code: "22P02" });
    await expect(run(copy("1\n"), { text: "no sql", values: [] })).rejects.toMatchObject({ code: "42601" });
    const tooMany = { ...insert(4), values: ["{4}", "5"] };
    await expect(run(insert(1), tooMany)).rejects.toMatchObject({ code: "08P01" });
    expect(await ids()).toEqual([]);
    expect((await client.query("SELECT 7 AS n")).rows).toEqual([{ n: 7 }]);
    expect(await run(copy("1\n"), insert(2))).toEqual([1, 1]);
    expect(await ids()).toEqual([1, 2]);
  }));

it("fails when the commit does", () =>
  withTable(async ({ run, ids, client }) => {
    await client.query("SET session_replication_role = origin");
    await run(insert(1));
    await expect(run(insert(2), insert(1))).rejects.toMatchObject({ code: "23505" });
    expect(await ids()).toEqual([1]);
  }));

it("prepares anew what a failure left open, and not what is there", () =>
  withTable(async ({ run, client }) => {
    await expect(run(insert(1), fail)).rejects.toMatchObject({ code: "22012" });
    await run(insert(1));
    await run(insert(2));
    const { rows } = await client.query(
      "SELECT statement, generic_plans + custom_plans AS runs FROM pg_prepared_statements",
    );
    expect(rows.filter(({ statement }) => statement === insert().text)).toEqual([
      { statement: insert().text, runs: "2" },
    ]);
  }));

it("carries any value", () =>
  withTable(async ({ run, client }) => {
    const text = "ä😀\u0001\\'\"".repeat(50_000);
    const write =
      "INSERT INTO a SELECT $1::int, $2::text UNION ALL SELECT 2, $3::text UNION ALL SELECT 3, $4::text";
    await run({ text: write, values: ["1", text, null, Buffer.from("bytes")] });
    const { rows } = await client.query("SELECT note FROM a ORDER BY id");
    expect(rows).toEqual([{ note: text }, { note: null }, { note: "bytes" }]);
  }));

it("rejects when the connection ends", () =>
  withTable(async ({ run }) => {
    const end: Step = { text: "SELECT pg_terminate_backend(pg_backend_pid())", values: [] };
    await expect(run(insert(1), end)).rejects.toThrow();
  }));
