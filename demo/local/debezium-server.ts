import { readdirSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { buildRouter, fetchDebezium, writeConfig } from "./debezium-dist.ts";
import { freePort } from "./free-port.ts";
import { ensureJava } from "./install.ts";
import { startProgram, waitUntilReady, type Program } from "./process.ts";

export interface DebeziumOptions {
  readonly folder: string;
  /** The primary's URL; the role must be allowed to replicate. */
  readonly primary: string;
  /** host:port */
  readonly redis: string;
  readonly shards?: number;
  /** More settings: SHARD_COLUMNS, SLOT_NAME, or any property in its environment form (`DEBEZIUM_SOURCE_…`). */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface DebeziumServer {
  readonly pid: number;
  readonly logFile: string;
  /** Resolves when the initial copy is over and changes flow. */
  waitUntilStreaming(timeoutMs?: number): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** Starts Debezium Server with the checkout's `debezium/` folder; the same call with the same stores goes on where it ended. */
export async function startDebezium(options: DebeziumOptions): Promise<DebeziumServer> {
  const [{ jdk }, home, router] = [await ensureJava(), await fetchDebezium(), await buildRouter()];
  writeConfig(options.folder);
  const environment = await environmentOf(options);
  const program = await startProgram({
    name: "Debezium Server",
    command: join(jdk.home, "bin", "java"),
    args: javaArguments({ home, router, folder: options.folder, major: jdk.major }),
    logFile: `${options.folder}.log`,
    cwd: options.folder,
    env: { ...process.env, ...environment },
  });
  return {
    pid: program.pid,
    logFile: program.logFile,
    waitUntilStreaming: (timeoutMs = 120_000) =>
      untilStreaming(program, options.primary, environment, timeoutMs),
    async stop() {
      await program.stop({ graceMs: 20_000 });
    },
    async kill() {
      await program.kill();
    },
  };
}

type Environment = Readonly<Record<string, string>> & { readonly SLOT_NAME: string };

async function environmentOf({
  primary,
  redis,
  shards = 8,
  environment,
}: DebeziumOptions): Promise<Environment> {
  const url = new URL(primary);
  return {
    SOURCE_HOST: url.hostname,
    SOURCE_PORT: url.port || "5432",
    SOURCE_USER: unexpanded(decodeURIComponent(url.username)),
    // An empty value would count as not set; a server that trusts its clients never looks at it.
    SOURCE_PASSWORD: unexpanded(decodeURIComponent(url.password)) || "unused",
    SOURCE_DATABASE: unexpanded(decodeURIComponent(url.pathname.slice(1))),
    EXCLUDED_TABLES: (await partitionsOf(primary)).map(exactly).join(","),
    REDIS_ADDRESS: redis,
    SHARDS: String(shards),
    STREAM_PREFIX: "cdc.",
    SLOT_NAME: "sluice",
    PUBLICATION_NAME: "sluice",
    QUARKUS_HTTP_PORT: String(await freePort()),
    ...environment,
  };
}

/** Debezium Server expands `${…}` and `$$` inside a value too. */
function unexpanded(value: string): string {
  return value.replaceAll("$", "$$$$");
}

/** A regular expression for the name alone; commas would part it, and a dollar sign would be expanded. */
function exactly(name: string): string {
  return name.replaceAll(/[^\p{L}\p{N}_]/gu, (character) => `\\x{${character.codePointAt(0)?.toString(16)}}`);
}

/** The snapshot would copy them a second time, beside the partitioned tables that they belong to. */
async function partitionsOf(primary: string): Promise<string[]> {
  const query = `SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relispartition AND c.relkind IN ('r', 'p') ORDER BY 1`;
  return (await ask<{ name: string }>(primary, query)).map(({ name }) => name);
}

/** As in the image (`debezium/Dockerfile`). */
const javaOptions = ["-Xmx512m"];

interface JavaLaunch {
  readonly home: string;
  readonly router: string;
  readonly folder: string;
  readonly major: number;
}

/** What the distribution's run.sh does, without the shell: signals and exit code are the JVM's own. */
function javaArguments({ home, router, folder, major }: JavaLaunch): string[] {
  const runner = readdirSync(home).find((name) => name.endsWith("-runner.jar"));
  if (runner === undefined)
    throw new Error(`${home} holds no Debezium Server; remove the folder and try again`);
  const classPath = [join(home, runner), join(folder, "config"), join(home, "lib", "*"), router];
  // Java 24 closed what the server's libraries open by reflection.
  const opens = major >= 24 ? ["--add-opens=java.base/java.lang=ALL-UNNAMED"] : [];
  return [...javaOptions, ...opens, "-cp", classPath.join(":"), "io.debezium.server.Main"];
}

/** Two facts: the server says so, and the primary sees a reader on the slot. */
async function untilStreaming(
  program: Program,
  primary: string,
  { SLOT_NAME }: Environment,
  timeoutMs: number,
): Promise<void> {
  const isReady = async (): Promise<boolean> =>
    program.log().includes("Starting streaming") && (await isSlotActive(primary, SLOT_NAME));
  await waitUntilReady(program, { name: "Debezium Server", timeoutMs, isReady });
}

async function isSlotActive(primary: string, slot: string): Promise<boolean> {
  const query = "SELECT active FROM pg_replication_slots WHERE slot_name = $1";
  const [row] = await ask<{ active: boolean }>(primary, query, [slot]);
  return row?.active ?? false;
}

async function ask<Row extends pg.QueryResultRow>(
  url: string,
  query: string,
  values: string[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(query, values)).rows;
  } finally {
    await client.end();
  }
}
