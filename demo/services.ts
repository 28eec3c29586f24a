import { join } from "node:path";
import pg from "pg";
import { buildSluice, sluiceMain } from "./local/build-sluice.ts";
import { buildRouter, fetchDebezium } from "./local/debezium-dist.ts";
import { startDebezium } from "./local/debezium-server.ts";
import { freePort } from "./local/free-port.ts";
import { ensureJava, ensureServers } from "./local/install.ts";
import { startPostgres } from "./local/postgres-cluster.ts";
import { runToEnd, startProgram, waitUntilReady, type Program } from "./local/process.ts";
import { startRedis } from "./local/redis-server.ts";
import { existingRowsSql, schemaSql } from "./schema.ts";
import type { Screen } from "./screen.ts";

/** Everything the demo runs, in the order in which it depends on each other. */
export interface Services {
  readonly primaryUrl: string;
  readonly readUrl: string;
  readonly redisUrl: string;
  /** Of sluice: `/status`, `/metrics`. */
  readonly httpUrl: string;
  readonly sluice: Program;
}

const shards = 8;

/** Starts all of it in `folder`; what has to be stopped goes on `stack`, last started first. */
export async function startServices(
  folder: string,
  stack: AsyncDisposableStack,
  screen: Screen,
): Promise<Services> {
  await screen.step("programs: PostgreSQL, Redis, a JDK, Maven", async () => {
    // One after the other: two installations at a time would wait for each other's lock.
    await ensureServers();
    await ensureJava();
  });
  await screen.step("sluice is built", buildSluice);
  await screen.step("Debezium Server (fetched once, 0.8 GB)", fetchDebezium);
  await screen.step("Debezium's routing step is built", buildRouter);
  const primary = await screen.step("primary database", () =>
    startPostgres({ folder: join(folder, "primary"), database: "app", settings: { wal_level: "logical" } }),
  );
  stack.defer(() => primary.stop());
  const read = await screen.step("read database", () =>
    startPostgres({ folder: join(folder, "read"), database: "app" }),
  );
  stack.defer(() => read.stop());
  const redis = await screen.step("Redis", () => startRedis({ folder: join(folder, "redis") }));
  stack.defer(() => redis.stop());
  await screen.step("tables and rows in the primary", () => fillPrimary(primary.url));
  await screen.step("Debezium Server copies the rows, then streams", async () => {
    const address = `127.0.0.1:${redis.port}`;
    const options = { folder: join(folder, "debezium"), primary: primary.url, redis: address, shards };
    const debezium = await startDebezium(options);
    stack.defer(() => debezium.stop());
    await debezium.waitUntilStreaming();
  });
  const urls = { primaryUrl: primary.url, readUrl: read.url, redisUrl: redis.url };
  return startSluice({ folder, urls, stack, screen });
}

interface SluiceStart {
  readonly folder: string;
  readonly urls: Pick<Services, "primaryUrl" | "readUrl" | "redisUrl">;
  readonly stack: AsyncDisposableStack;
  readonly screen: Screen;
}

async function startSluice({ folder, urls, stack, screen }: SluiceStart): Promise<Services> {
  const address = `127.0.0.1:${await freePort()}`;
  const env = {
    ...process.env,
    SLUICE_REDIS_URL: urls.redisUrl,
    SLUICE_DATABASE_URL: urls.readUrl,
    SLUICE_SOURCE_URL: urls.primaryUrl,
    SLUICE_STREAMS: `cdc.{0..${shards - 1}}`,
    SLUICE_HTTP_ADDRESS: address,
  };
  await screen.step("sluice migrate --from-source", () =>
    runToEnd(process.execPath, [sluiceMain, "migrate", "--from-source"], { env }),
  );
  const sluice = await screen.step("sluice run", async () => {
    const logFile = join(folder, "sluice.log");
    const args = [sluiceMain, "run"];
    const program = await startProgram({ name: "sluice", command: process.execPath, args, logFile, env });
    stack.defer(async () => void (await program.stop({ graceMs: 30_000 })));
    const isReady = (): Promise<boolean> => isOk(`http://${address}/readyz`);
    await waitUntilReady(program, { name: "sluice", timeoutMs: 60_000, isReady });
    return program;
  });
  return { ...urls, httpUrl: `http://${address}`, sluice };
}

async function fillPrimary(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(schemaSql);
    await client.query(existingRowsSql);
  } finally {
    await client.end();
  }
}

async function isOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
