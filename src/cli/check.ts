import {
  domainsOverEnums,
  maySkipTriggers,
  readReplicationFacts,
  readServerFacts,
  readTableFacts,
  unwritableBookkeeping,
  type PreflightDatabase,
  type TableFacts,
} from "../catalog/preflight.ts";
import { tableFilter } from "../catalog/table-filter.ts";
import type { Config } from "../config/config.ts";
import { redactText } from "../config/redact.ts";
import { errorManuals } from "../errors/codes.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { createStatusSource } from "../pipeline/status.ts";
import { openPool } from "../sink/connect.ts";
import { requireSchema } from "../sink/migrations.ts";
import { statusError } from "../sink/status-store.ts";
import { openRedis } from "../source/connect.ts";
import type { StreamRedis } from "../source/ask.ts";
import { readPrivileges } from "../source/privileges.ts";
import { readRedisFacts, readStreamInfo } from "../source/stream-info.ts";
import { checkReplication } from "./check-primary.ts";
import { checkPrivileges, checkRedisFacts, failingWarnings } from "./check-redis.ts";
import { checkTables, ok, type Finding } from "./check-tables.ts";
import type { ConsoleIo } from "./console-io.ts";
import { exitCode } from "./exit-code.ts";

/** Looks at everything that `run` will need and changes nothing. Exits 3 when something is not as it must be. */
export async function check(config: Config, io: ConsoleIo, json: boolean): Promise<number> {
  const findings = [
    ...(await checkRedis(config)),
    ...(await checkDatabases(config)),
    ...(await checkPipeline(config)),
  ];
  const failed = findings.some((finding) => finding.level === "fail");
  if (json) io.out(`${JSON.stringify({ ok: !failed, findings })}\n`);
  else io.out(findings.map(line).join(""));
  return failed ? exitCode.problems : exitCode.done;
}

function line(finding: Finding): string {
  const remedy = finding.remedy === undefined ? "" : `      remedy: ${finding.remedy}\n`;
  return `${finding.level.padEnd(4)}  ${finding.what}\n${remedy}`;
}

async function checkRedis(config: Config): Promise<readonly Finding[]> {
  let redis: StreamRedis | undefined;
  try {
    redis = await openRedis({ url: config.redisUrl, name: "sluice-check" });
    const facts = await readRedisFacts(redis);
    const privileges = await readPrivileges(redis, config.streams, config.group);
    return [
      ...checkRedisFacts(facts),
      ...checkPrivileges(privileges),
      ...(await checkStreams(redis, config)),
    ];
  } catch (error) {
    return [problem("Redis", error)];
  } finally {
    redis?.disconnect();
  }
}

/** Told by the other checks, or natural before `run`. */
const toldElsewhere = new Set([...failingWarnings, "REDIS_NOT_PERSISTENT", "NO_MEMBER", "SHARD_FREE"]);

/** What the pipeline has met so far. Stores that cannot be read are told by their own checks. */
async function checkPipeline(config: Config): Promise<readonly Finding[]> {
  const source = createStatusSource(config);
  try {
    const { warnings } = await source.read();
    return warnings
      .filter(({ code }) => !toldElsewhere.has(code) && !(code in errorManuals))
      .map(({ code, message, remedy }) => ({
        level: code === "SHARD_STOPPED" ? "fail" : "warn",
        what: `${code}: ${message}`,
        remedy,
      }));
  } catch {
    return [];
  } finally {
    await source.close();
  }
}

async function checkStreams(redis: StreamRedis, config: Config): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const missing: string[] = [];
  for (const stream of config.streams) {
    try {
      const info = await readStreamInfo(redis, { stream, group: config.group, checkpoint: null });
      if (info.exists) findings.push(ok(`stream ${stream}: ${info.length} entries`));
      else missing.push(stream);
    } catch (error) {
      findings.push(problem(`stream ${stream}`, error));
    }
  }
  if (missing.length > 0) {
    const remedy =
      "None if Debezium has yet to write to them; else compare SLUICE_STREAMS with the shard router's options.";
    findings.push({ level: "warn", what: `streams that do not exist yet: ${missing.join(", ")}`, remedy });
  }
  return findings;
}

async function checkDatabases(config: Config): Promise<readonly Finding[]> {
  const source = config.sourceUrl === undefined ? undefined : await checkSource(config.sourceUrl, config);
  const pool = openCheckPool(config.databaseUrl);
  try {
    const server = serverFindings("read database", await readServerFacts(pool));
    const skips = await maySkipTriggers(pool);
    const read = await readTableFacts(pool);
    const includes = tableFilter(config.tables);
    const tables = checkTables({
      read: read.filter((table) => includes(table.schema, table.table)),
      source: source?.tables,
      maySkipTriggers: skips,
    });
    return [...(source?.findings ?? []), ...server, ...(await checkBookkeeping(pool)), ...tables];
  } catch (error) {
    return [...(source?.findings ?? []), problem("read database", error)];
  } finally {
    await pool.end();
  }
}

async function checkBookkeeping(pool: PreflightDatabase): Promise<readonly Finding[]> {
  const client = await pool.connect();
  try {
    await requireSchema(client);
  } catch (error) {
    return [problem("bookkeeping schema", statusError(error))];
  } finally {
    client.release();
  }
  const unwritable = await unwritableBookkeeping(pool);
  if (unwritable.length === 0) return [ok("bookkeeping schema")];
  const remedy = "GRANT USAGE on schema sluice and SELECT, INSERT, UPDATE, DELETE on its tables to the role.";
  return [{ level: "fail", what: `the role may not write sluice.${unwritable.join(", sluice.")}`, remedy }];
}

interface SourceSeen {
  readonly findings: readonly Finding[];
  /** Undefined: it could not be asked. */
  readonly tables: readonly TableFacts[] | undefined;
}

async function checkSource(url: string, config: Config): Promise<SourceSeen> {
  const pool = openCheckPool(url);
  try {
    const facts = await readServerFacts(pool);
    const replication = checkReplication(await readReplicationFacts(pool));
    const includes = tableFilter(config.tables);
    const withoutExcluded = (table: TableFacts): TableFacts => ({
      ...table,
      partitions: table.partitions.filter((each) => includes(each.schema, each.table)),
    });
    const tables = (await readTableFacts(pool)).filter((table) => includes(table.schema, table.table));
    const domains = (await domainsOverEnums(pool)).map((name): Finding => {
      const remedy = "Replace it by the enum, or by a domain over text.";
      return {
        level: "fail",
        what: `primary: with ${name}, a domain over an enum, Debezium does not start`,
        remedy,
      };
    });
    return {
      findings: [...serverFindings("primary", facts), ...replication, ...domains],
      tables: tables.map(withoutExcluded),
    };
  } catch (error) {
    return { findings: [problem("primary", error)], tables: undefined };
  } finally {
    await pool.end();
  }
}

function serverFindings(
  name: string,
  facts: { readonly versionNumber: number; readonly version: string },
): readonly Finding[] {
  const what = `${name}: PostgreSQL ${facts.version}`;
  if (facts.versionNumber >= 140_000) return [ok(what)];
  return [{ level: "fail", what: `${what} is too old`, remedy: "Use PostgreSQL 14 or later." }];
}

function openCheckPool(url: string): PreflightDatabase {
  return openPool({ url, applicationName: "sluice check", max: 1, statementTimeoutMs: 15_000 });
}

function problem(where: string, error: unknown): Finding {
  const message = redactText(error instanceof Error ? error.message || error.name : String(error));
  const remedy =
    error instanceof SluiceError
      ? error.remedy
      : "Check the URL, the network, the role and that the server is up.";
  return { level: "fail", what: `${where}: ${message}`, remedy };
}
