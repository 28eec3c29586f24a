import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { compareDatabases } from "./compare.ts";
import { markerIsVisible, prepare, startLoad, writeMarker, type Load } from "./load.ts";
import { buildRouter, fetchDebezium, startDebezium } from "./local/debezium-server.ts";
import { freePort } from "./local/free-port.ts";
import { findPrograms } from "./local/install.ts";
import { startPostgres } from "./local/postgres-cluster.ts";
import { logTail, runCommand, startProcess } from "./local/process.ts";
import { startRedis } from "./local/redis-server.ts";
import { errors, isDrained, readStatus, Screen, step } from "./screen.ts";

interface Running {
  readonly primaryUrl: string;
  readonly readUrl: string;
  readonly httpUrl: string;
  readonly sluiceLog: string;
}

const root = join(import.meta.dirname, "..");
const program = join(root, "dist/main.js");
const shards = 8;
const refreshMs = 2_000;
const catchUpMs = 120_000;

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { seconds: { type: "string" } } });
  const limit = values.seconds === undefined ? Infinity : Number(values.seconds);
  if (!(limit > 0)) throw new Error(`--seconds must be a number above 0, not ${values.seconds}`);
  const interrupted = interruption();
  await using stack = new AsyncDisposableStack();
  const work = demonstrate(stack, limit, interrupted.signal);
  const stopped = new Promise<number>((resolve) => {
    interrupted.signal.addEventListener("abort", () => resolve(130), { once: true });
  });
  return await Promise.race([work, stopped]);
}

/** The first Ctrl-C ends in order; the parts end with this process in any case. */
function interruption(): AbortController {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      console.log("\nstopping …");
      controller.abort();
    });
  }
  return controller;
}

async function demonstrate(stack: AsyncDisposableStack, limit: number, signal: AbortSignal): Promise<number> {
  const running = await startAll(stack);
  printAddresses(running);
  const load = await startLoad(running.primaryUrl);
  stack.defer(() => load.stop().catch(() => undefined));
  await watch(running, load, limit, signal);
  if (signal.aborted) return 130;
  await load.stop();
  await step("read database has caught up", () => catchUp(running));
  return verdict(running);
}

async function startAll(stack: AsyncDisposableStack): Promise<Running> {
  await step("programs: PostgreSQL, Redis, a JDK, Maven", findPrograms);
  if (!existsSync(program))
    await step("sluice is built", () => runCommand("npm", ["run", "build"], { cwd: root }));
  await step("Debezium Server is unpacked (the first time: 780 MB from Maven Central)", fetchDebezium);
  await step("shard router is built", buildRouter);
  const folder = mkdtempSync(join(tmpdir(), "sluice-demo-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const start = (name: string) =>
    startPostgres({ folder: join(folder, name), settings: { wal_level: "logical" } });
  const primary = await step("primary runs", () => start("primary"));
  stack.defer(() => primary.stop());
  const read = await step("read database runs", () => start("read"));
  stack.defer(() => read.stop());
  const redis = await step("Redis runs", () => startRedis({ folder: join(folder, "redis") }));
  stack.defer(() => redis.stop());
  await step("primary has a shop with 500 users and 300 orders", () => prepare(primary.url));
  const source = { sourcePort: primary.port, sourceDatabase: "postgres", redisPort: redis.port, shards };
  const debezium = await step("Debezium Server streams", () =>
    startDebezium({ folder: join(folder, "debezium"), ...source }),
  );
  stack.defer(() => debezium.stop());
  return startSluice(stack, folder, { primary: primary.url, read: read.url, redis: redis.url });
}

async function startSluice(
  stack: AsyncDisposableStack,
  folder: string,
  urls: { primary: string; read: string; redis: string },
): Promise<Running> {
  const address = `127.0.0.1:${await freePort()}`;
  const env = {
    ...process.env,
    SLUICE_REDIS_URL: urls.redis,
    SLUICE_DATABASE_URL: urls.read,
    SLUICE_SOURCE_URL: urls.primary,
    SLUICE_STREAMS: `cdc.{0..${shards - 1}}`,
    SLUICE_HTTP_ADDRESS: address,
  };
  const httpUrl = `http://${address}`;
  const sluiceLog = join(folder, "sluice.log");
  const migrate = [program, "migrate", "--from-source"];
  await step("sluice migrate --from-source", () => runCommand(process.execPath, migrate, { env }));
  const sluice = await step("sluice run", () =>
    startProcess({
      ...{ name: "sluice", command: process.execPath, args: [program, "run"], env, logFile: sluiceLog },
      ready: async () => (await fetch(`${httpUrl}/readyz`)).ok,
    }),
  );
  stack.defer(() => sluice.stop());
  return { primaryUrl: urls.primary, readUrl: urls.read, httpUrl, sluiceLog };
}

function printAddresses(running: Running): void {
  console.log(`
  status         ${running.httpUrl}/status
  metrics        ${running.httpUrl}/metrics
  primary        psql ${running.primaryUrl}
  read database  psql ${running.readUrl}

  Ctrl-C stops and removes everything.
`);
}

async function watch(running: Running, load: Load, limit: number, signal: AbortSignal): Promise<void> {
  const screen = new Screen();
  const ends = performance.now() + limit * 1000;
  let before = { at: performance.now(), changes: load.changes() };
  while (!signal.aborted && performance.now() < ends) {
    await sleep(Math.max(0, Math.min(refreshMs, ends - performance.now())));
    const now = { at: performance.now(), changes: load.changes() };
    const rate = ((now.changes - before.changes) * 1000) / (now.at - before.at);
    screen.show(await readStatus(running.httpUrl), rate);
    before = now;
  }
}

/** The marker is the last row written; the other shards have caught up when nothing waits in them any more. */
async function catchUp(running: Running): Promise<void> {
  await writeMarker(running.primaryUrl);
  const deadline = performance.now() + catchUpMs;
  for (;;) {
    const visible = await markerIsVisible(running.readUrl);
    const status = await readStatus(running.httpUrl);
    if (visible && status !== undefined && isDrained(status)) return;
    if (performance.now() > deadline) {
      const known = status === undefined ? ["sluice does not answer"] : errors(status);
      const marker = visible ? "the marker has arrived" : "the marker has not arrived";
      const text = [
        `not caught up in ${catchUpMs / 1000} s; ${marker}`,
        ...known,
        logTail(running.sluiceLog),
      ];
      throw new Error(text.join("\n"));
    }
    await sleep(250);
  }
}

async function verdict(running: Running): Promise<number> {
  const comparison = await step("all rows compared", () =>
    compareDatabases(running.primaryUrl, running.readUrl),
  );
  for (const { table, rows, equal, differences } of comparison.tables) {
    console.log(`  ${equal ? "✓" : "✗"} ${table}: ${rows} rows ${equal ? "equal" : "differ"}`);
    for (const difference of differences) console.log(`      ${difference}`);
  }
  console.log(comparison.equal ? "all tables are equal" : "the read database differs from the primary");
  return comparison.equal ? 0 : 1;
}

try {
  // Not only the code: a load that was interrupted may still hold the event loop.
  process.exit(await main());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
