import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { execute } from "./database.ts";

/** Loads that are committed at the primary, for runs through a real Debezium. */

const connections = 16;
const rowsPerTransaction = 10;

/** A row of the orders table, from its id. */
const rowSql = `'Customer ' || id, 'customer' || id || '@example.org', (id % 100000) / 100.0,
  timestamptz '2024-01-01' + id * interval '1 second', id % 3 = 0,
  jsonb_build_object('plan', 'monthly', 'level', id % 50, 'source', 'shop')`;

export interface SmallTransactions {
  readonly perSecond: number;
  readonly rows: number;
  readonly firstId: number;
}

/** One row a transaction, each at its time, however long the ones before it take. */
export async function smallTransactions(url: string, load: SmallTransactions): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  const insert = {
    name: "insert",
    text: `INSERT INTO public.orders SELECT id, ${rowSql} FROM (SELECT $1::bigint AS id) AS new`,
  };
  const answers: Promise<unknown>[] = [];
  const startedAt = performance.now();
  while (answers.length < load.rows) {
    const due = Math.min(load.rows, Math.floor(((performance.now() - startedAt) * load.perSecond) / 1000));
    while (answers.length < due)
      answers.push(pool.query({ ...insert, values: [load.firstId + answers.length] }));
    await sleep(1);
  }
  await Promise.all(answers);
  await pool.end();
}

/** As fast as the primary can, ten rows a transaction. */
export function commitInserts(url: string, rows: number, firstId: number): Promise<void> {
  return commitInSteps(url, {
    rows,
    statement: `INSERT INTO public.orders
      SELECT id, ${rowSql} FROM generate_series(${firstId} + step, ${firstId} + step + ${rowsPerTransaction - 1}) AS id`,
  });
}

/** Every row once; neighbours in a transaction are far apart in the table. */
export function commitUpdates(url: string, rows: number, firstId: number): Promise<void> {
  const id = `${firstId} + (((step + place) * 7919::bigint) % ${rows})`;
  return commitInSteps(url, {
    rows,
    statement: `UPDATE public.orders SET customer = customer || ', again', amount = amount + 1, paid = NOT paid
      WHERE id IN (SELECT ${id} FROM generate_series(0, ${rowsPerTransaction - 1}) AS place)`,
  });
}

interface Steps {
  readonly rows: number;
  /** Changes the rows of one transaction, which begin at `step`. */
  readonly statement: string;
}

function commitInSteps(url: string, { rows, statement }: Steps): Promise<void> {
  return execute(
    url,
    "SET synchronous_commit = off",
    `DO $$ BEGIN
       FOR step IN 0..${rows - 1} BY ${rowsPerTransaction} LOOP ${statement}; COMMIT; END LOOP;
     END $$`,
  );
}
