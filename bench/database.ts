import pg from "pg";

/** Opens one connection for `work` and closes it. */
export async function withClient<Result>(
  url: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  // When a server is stopped under an idle connection, the next query says so.
  client.on("error", () => undefined);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Runs statements one by one, outside of a transaction. */
export function execute(url: string, ...statements: readonly string[]): Promise<void> {
  return withClient(url, async (client) => {
    for (const statement of statements) await client.query(statement);
  });
}

/** The same server's other database. */
export function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}
