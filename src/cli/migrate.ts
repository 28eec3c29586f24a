import { readCatalog, type Catalog } from "../catalog/source-catalog.ts";
import { tableFilter } from "../catalog/table-filter.ts";
import { planPreparation, planTables, type TablePlan } from "../catalog/table-plan.ts";
import type { Problem, Step } from "../catalog/type-plan.ts";
import type { Config } from "../config/config.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { openPool } from "../sink/connect.ts";
import { applyMigrations, lockMigrations, migrationScript } from "../sink/migrations.ts";

export interface MigrateOptions {
  /** Also create what the primary has and the read database lacks. */
  readonly fromSource: boolean;
  /** Print the SQL and change nothing. */
  readonly dryRun: boolean;
  write(line: string): void;
}

type Client = Parameters<typeof readCatalog>[0];

/** One of the two databases, as messages name it. */
interface Database {
  readonly name: "the read database" | "the primary";
  readonly url: string;
  readonly option: "SLUICE_DATABASE_URL" | "SLUICE_SOURCE_URL";
}

/**
 * Brings the read database up to date: bookkeeping first, then tables. Steps run one by one outside a transaction, because a
 * new enum label cannot be used in the transaction that added it; a run that was cut short is finished by the next.
 * Returns the exit code; throws a SluiceError when something could not be done.
 */
export async function migrate(config: Config, options: MigrateOptions): Promise<number> {
  const patterns = tableFilter(config.tables);
  const source = options.fromSource ? await readSource(config) : undefined;
  const target: Database = {
    name: "the read database",
    url: config.databaseUrl,
    option: "SLUICE_DATABASE_URL",
  };
  await withDatabase(target, async (client) => {
    // A table that is in use for long must not queue everyone else's statements behind this one's lock.
    await client.query("SET lock_timeout = '30s'");
    if (!options.dryRun) await lockMigrations(client);
    await migrateBookkeeping(client, options);
    const catalog = await readCatalog(client);
    const plan =
      source === undefined ? planPreparation(catalog, patterns) : planTables(source, catalog, patterns);
    await runPlan(client, plan, options);
  });
  return 0;
}

async function readSource(config: Config): Promise<Catalog> {
  if (config.sourceUrl === undefined) {
    throw new SluiceError("CONFIG_INVALID", "migrate --from-source needs the address of the primary", {
      place: { option: "SLUICE_SOURCE_URL" },
      remedy: "Set SLUICE_SOURCE_URL.",
    });
  }
  return withDatabase(
    { name: "the primary", url: config.sourceUrl, option: "SLUICE_SOURCE_URL" },
    readCatalog,
  );
}

async function migrateBookkeeping(client: Client, options: MigrateOptions): Promise<void> {
  if (options.dryRun) {
    for (const sql of await migrationScript(client)) options.write(sql);
    return;
  }
  for (const { version, name } of await applyMigrations(client))
    options.write(`bookkeeping ${version} ${name}`);
}

async function runPlan(client: Client, plan: TablePlan, options: MigrateOptions): Promise<void> {
  for (const step of plan.steps) {
    if (options.dryRun) options.write(`${step.sql};`);
    else {
      await runStep(client, step);
      options.write(`${step.kind} ${step.object}`);
    }
  }
  const [first, ...others] = plan.problems;
  if (first !== undefined) throw problemError(first, others);
}

async function runStep(client: Client, step: Step): Promise<void> {
  try {
    await client.query(step.sql);
  } catch (error) {
    throw mapped(error, "the read database", `cannot ${step.kind} ${step.object}`);
  }
}

function problemError(first: Problem, others: readonly Problem[]): SluiceError {
  const message = [first, ...others].map((problem) => problem.message).join("; ");
  const remedy = [...new Set([first, ...others].map((problem) => problem.remedy))].join(" ");
  return new SluiceError("MIGRATION_FAILED", message, { remedy });
}

async function withDatabase<Result>(
  database: Database,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const pool = openPool({ url: database.url, applicationName: "sluice migrate", max: 1 });
  try {
    const client = await pool.connect().catch((error: unknown) => {
      throw new SluiceError(
        "DATABASE_UNAVAILABLE",
        `cannot connect to ${database.name}: ${reasonOf(error)}`,
        {
          place: { option: database.option },
          remedy: `Check ${database.option}, the network and that PostgreSQL is up.`,
          cause: error,
        },
      );
    });
    // A connection that breaks between two statements fails the next one; without a listener it would end the process.
    client.on("error", () => undefined);
    try {
      return await work(client);
    } finally {
      // Closed, not given back: the session holds the lock on migrations.
      client.release(true);
    }
  } catch (error) {
    throw mapped(error, database.name, `migrate failed on ${database.name}`);
  } finally {
    await pool.end();
  }
}

/** SQLSTATE → code; an error without one came from the connection. */
function mapped(error: unknown, database: Database["name"], doing: string): SluiceError {
  if (error instanceof SluiceError) return error;
  if (error instanceof TypeError)
    return new SluiceError("INTERNAL", `${doing}: ${error.message}`, { cause: error });
  const state = error instanceof Error && "code" in error ? String(error.code) : "";
  const message = `${doing}: ${reasonOf(error)}`;
  if (state === "42501") {
    const remedy = `Run sluice migrate with a role that may do this in ${database}.`;
    return new SluiceError("PERMISSION_DENIED", message, { cause: error, remedy });
  }
  return new SluiceError(codeOf(state), message, { cause: error });
}

function codeOf(state: string): ErrorCode {
  if (!/^[0-9A-Z]{5}$/.test(state) || state.startsWith("08") || state.startsWith("57P"))
    return "DATABASE_UNAVAILABLE";
  return state === "55P03" || state === "40P01" ? "DATABASE_BUSY" : "MIGRATION_FAILED";
}

/** Node reports several refused addresses as one error without a message. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(", ");
  return error instanceof Error ? error.message : String(error);
}
