import pg from "pg";

export interface PoolOptions {
  readonly url: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  readonly max: number;
  /** Above this a statement is cancelled, in milliseconds. */
  readonly statementTimeoutMs?: number;
  /** Above this a transaction that waits for its client is ended, in milliseconds: a frozen member must not hold a lock. */
  readonly idleInTransactionTimeoutMs?: number;
  /** Above this the connection is given up, in milliseconds: a server that was cut off silently answers never. */
  readonly answerTimeoutMs?: number;
  /**
   * Settings for applying changes: commits that need not be flushed, since rows and checkpoint are lost together and the stream
   * still has the entries; no triggers and foreign keys where the role may switch them off; the database's own search path, in
   * which types' operators and functions are found.
   */
  readonly applying?: boolean;
}

/**
 * A pool whose sessions print and read values in one fixed way (ISO dates, UTC, exact floats), whatever the database's
 * or the role's defaults are.
 */
export function openPool(options: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    application_name: options.applicationName,
    max: options.max,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    ...(options.answerTimeoutMs === undefined ? {} : { query_timeout: options.answerTimeoutMs }),
    options: sessionSettings(options),
    // A batch's statements go out together: their answers are waited for once, not one after the other.
    ...(options.applying === true ? { onConnect: suspendTriggers, pipeline: true } : {}),
  });
  // A broken idle connection is replaced on next use; without a listener it would end the process.
  pool.on("error", () => undefined);
  // So would one that breaks between two statements of its user, who finds out with the next.
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

/** Refused to roles that are not superusers; `sluice check` names the constraints that are then in the way. */
async function suspendTriggers(client: pg.ClientBase): Promise<void> {
  await client.query("SET session_replication_role = replica").catch(() => undefined);
}

/**
 * Batches are small and tables may be large, so rows are always looked up by index: a plan that was made while a table was empty
 * would otherwise go through all of it when it no longer is.
 */
const applyingSettings = {
  synchronous_commit: "off",
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  jit: "off",
};

function sessionSettings(options: PoolOptions): string {
  const settings: Record<string, string> = {
    TimeZone: "UTC",
    DateStyle: "ISO",
    IntervalStyle: "postgres",
    extra_float_digits: "1",
    default_transaction_isolation: "read\\ committed",
    bytea_output: "hex",
    // Debezium sends money as a plain number with a point.
    lc_monetary: "C",
  };
  if (options.applying === true) Object.assign(settings, applyingSettings);
  else settings["search_path"] = "pg_catalog";
  if (options.statementTimeoutMs !== undefined)
    settings["statement_timeout"] = String(options.statementTimeoutMs);
  if (options.idleInTransactionTimeoutMs !== undefined) {
    settings["idle_in_transaction_session_timeout"] = String(options.idleInTransactionTimeoutMs);
  }
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(" ");
}

export type Connection = Parameters<pg.Query["submit"]>[0];

/** The driver keeps it to itself. */
export function connectionOf(client: pg.ClientBase): Connection {
  return (client as unknown as { readonly connection: Connection }).connection;
}

/** Lets everything that `send` sends on the connection go out in one packet; writing costs more than most statements do. */
export function sendTogether<T>(client: pg.ClientBase, send: () => T): T {
  const { stream } = connectionOf(client);
  stream.cork();
  try {
    return send();
  } finally {
    stream.uncork();
  }
}
