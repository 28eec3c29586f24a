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
  /** Also create what the primary has and the read database lacks. Without it, a known primary says which tables are prepared. */
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
  const source = options.fromSource || config.sourceUrl !== undefined ? await readSource(config) : undefined;
  const plan = planner(config, source, options);
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
    await migrateTables(client, plan, options);
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

/** The plan for a read database that looks like `target` and cannot get these extensions. */
type Planner = (target: Catalog, unavailable: ReadonlySet<string>) => TablePlan;

function planner(config: Config, source: Catalog | undefined, options: MigrateOptions): Planner {
  const patterns = tableFilter(config.tables);
  return (target, unavailable) =>
    options.fromSource && source !== undefined
      ? planTables(source, target, patterns, unavailable)
      : planPreparation(target, patterns, source);
}

/** An extension that cannot be created is left to a person, and the rest planned anew without what needs it. */
async function migrateTables(client: Client, plan: Planner, options: MigrateOptions): Promise<void> {
  const unavailable = new Map<string, Problem>();
  for (;;) {
    const planned = plan(await readCatalog(client), new Set(unavailable.keys()));
    const refused = await runSteps(client, planned.steps, options);
    if (refused === undefined) return throwProblems(planned, [...unavailable.values()]);
    unavailable.set(refused.extension, refused.problem);
  }
}

interface RefusedExtension {
  readonly extension: string;
  readonly problem: Problem;
}

/** Ends early at an extension that the read database does not get. */
async function runSteps(
  client: Client,
  steps: readonly Step[],
  options: MigrateOptions,
): Promise<RefusedExtension | undefined> {
  for (const step of steps) {
    if (options.dryRun) options.write(`${step.sql};`);
    else {
      const refused = await runStep(client, step);
      if (refused !== undefined) return refused;
      options.write(`${step.kind} ${step.object}`);
    }
  }
  return undefined;
}

async function runStep(client: Client, step: Step): Promise<RefusedExtension | undefined> {
  try {
    await client.query(step.sql);
    return undefined;
  } catch (error) {
    const remedy = extensionRemedy(step, stateOf(error));
    if (step.extension === undefined || remedy === undefined)
      throw mapped(error, "the read database", `cannot ${step.kind} ${step.object}`);
    const message = `cannot ${step.kind} ${step.object}: ${reasonOf(error)}`;
    return { extension: step.extension, problem: { object: step.object, message, remedy } };
  }
}

/** For the errors that only a person mends: no right to create it, or the server does not have it. */
function extensionRemedy(step: Step, state: string): string | undefined {
  if (step.extension === undefined) return undefined;
  if (state === "42501")
    return `As a superuser of the read database run: ${step.sql}; then sluice migrate again.`;
  // Undefined file until PostgreSQL 14, a missing feature from 15 on.
  if (state !== "0A000" && state !== "58P01") return undefined;
  return `Install the extension ${step.extension} on the read database's server, then run sluice migrate again.`;
}

function throwProblems(plan: TablePlan, unavailable: readonly Problem[]): void {
  // An extension that nothing waits for is none.
  const problems = [...(plan.leftOut.length > 0 ? unavailable : []), ...plan.problems];
  if (problems.length === 0) return;
  const leftOut = plan.leftOut.length > 0 ? [`left out: ${plan.leftOut.join(", ")}`] : [];
  const message = [...problems.map((problem) => problem.message), ...leftOut].join("; ");
  const remedy = [...new Set(problems.map((problem) => problem.remedy))].join(" ");
  throw new SluiceError("MIGRATION_FAILED", message, { remedy });
}

async function withDatabase<Result>(
  database: Database,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const pool = openPool({ url: database.url, applicationName: "sluice migrate", max: 1 });
  try {
    const client = await pool.connect().catch((error: unknown) => {
      throw cannotConnect(error, database);
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

function cannotConnect(error: unknown, { name, option }: Database): SluiceError {
  const message = `cannot connect to ${name}: ${reasonOf(error)}`;
  const refused = /^(28...|3D000)$/.test(stateOf(error));
  const remedy = refused
    ? `Correct user, password and database in ${option}.`
    : `Check ${option}, the network and that PostgreSQL is up.`;
  const options = { place: { option }, remedy, cause: error };
  return new SluiceError(refused ? "DATABASE_REFUSED" : "DATABASE_UNAVAILABLE", message, options);
}

/** SQLSTATE → code; an error without one came from the connection. */
function mapped(error: unknown, database: Database["name"], doing: string): SluiceError {
  if (error instanceof SluiceError) return error;
  if (error instanceof TypeError)
    return new SluiceError("INTERNAL", `${doing}: ${error.message}`, { cause: error });
  const state = stateOf(error);
  const message = `${doing}: ${reasonOf(error)}`;
  if (state === "42501") {
    const remedy = `Run sluice migrate with a role that may do this in ${database}.`;
    return new SluiceError("PERMISSION_DENIED", message, { cause: error, remedy });
  }
  return new SluiceError(codeOf(state), message, { cause: error });
}

function stateOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
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
