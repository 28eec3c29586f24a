import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { startLoad } from "./load.ts";
import { existingRowsSql, schemaSql } from "./schema.ts";

const help = `The demo's shop on a primary that runs elsewhere: PRIMARY_URL in the environment.

  load-only.ts tables    creates the tables, unless they are there
  load-only.ts load      adds the first rows, unless there are some, then changes them until SIGINT or SIGTERM
`;

const reportEveryMs = 10_000;

async function createTables(url: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query<{ found: boolean }>(
      "SELECT to_regnamespace('shop') IS NOT NULL AS found",
    );
    if (rows[0]?.found === true) return;
    // Several statements in one call are one transaction.
    await client.query(schemaSql);
  });
}

async function load(url: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rowCount } = await client.query("SELECT FROM shop.users LIMIT 1");
    if (rowCount === 0) await client.query(existingRowsSql);
  });
  const running = startLoad(url);
  const end = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => end.abort());
  const ended = AbortSignal.any([end.signal, running.broken]);
  while (!ended.aborted) {
    await sleep(reportEveryMs, undefined, { signal: ended }).catch(() => undefined);
    process.stdout.write(`${running.transactions.toLocaleString("en-US")} transactions\n`);
  }
  await running.stop();
}

async function withClient(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

const commands = new Map([
  ["tables", createTables],
  ["load", load],
]);
const command = commands.get(process.argv[2] ?? "");
const url = process.env["PRIMARY_URL"] ?? "";
if (command === undefined || url === "") {
  process.stderr.write(help);
  process.exitCode = 2;
} else {
  await command(url);
}
