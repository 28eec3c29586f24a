import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";

const answerMs = 5_000;
const patienceMs = 60_000;

/** The run's own connections to the read database, as superuser and past the proxies. They outlast its restarts. */
export class DatabaseAdmin implements AsyncDisposable {
  private readonly pool: pg.Pool;
  private readonly url: string;

  constructor(url: string) {
    this.url = url;
    this.pool = new pg.Pool({
      connectionString: url,
      application_name: "chaos",
      max: 4,
      connectionTimeoutMillis: answerMs,
      query_timeout: answerMs,
      options: "-c synchronous_commit=on -c default_transaction_read_only=off",
    });
    this.pool.on("error", () => undefined);
    this.pool.on("connect", (client) => client.on("error", () => undefined));
  }

  /** One try. */
  async query<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await this.pool.query<Row>(text, [...values]);
    return rows;
  }

  /** Tries until the server is there again. */
  async insist<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      try {
        return await this.query<Row>(text, values);
      } catch (error) {
        if (isWrong(error) || performance.now() > deadline) throw error;
        await pause(50);
      }
    }
  }

  /** Holds what the statement locks until `during` has ended; a server that goes down lets go earlier. */
  async holding(statement: string, values: readonly unknown[], during: () => Promise<void>): Promise<void> {
    const client = new pg.Client({ connectionString: this.url, application_name: "chaos holds a lock" });
    client.on("error", () => undefined);
    try {
      await client.connect();
      await client.query("BEGIN");
      await client.query("SET LOCAL lock_timeout = '3s'");
      await client.query(statement, [...values]);
    } catch {
      // The server is away, or somebody else held the lock for too long: the fault did not come about.
    }
    await during();
    await client.end().catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end();
  }
}

/** The statement itself is at fault, not the state of the server. */
function isWrong(error: unknown): boolean {
  return (
    error instanceof Error && "code" in error && typeof error.code === "string" && error.code.startsWith("42")
  );
}
