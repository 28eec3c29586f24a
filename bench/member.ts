import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { sluiceMain } from "../demo/local/build-sluice.ts";
import { freePort } from "../demo/local/free-port.ts";
import { startProgram, type Program } from "../demo/local/process.ts";
import { withClient } from "./database.ts";
import type { Stage } from "./stage.ts";

export interface MemberOptions {
  readonly stage: Stage;
  readonly databaseUrl: string;
  readonly streams: readonly string[];
  /** Arguments of Node itself. */
  readonly nodeArguments?: readonly string[];
  /** Options of sluice, SLUICE_… by their names; those of this process's environment win. */
  readonly options?: Readonly<Record<string, string>>;
}

/** `sluice run` with its defaults; SLUICE_… of this process's environment are passed on. */
export async function startMember(options: MemberOptions): Promise<Program> {
  const { stage, databaseUrl, streams } = options;
  return startProgram({
    name: "sluice",
    command: process.execPath,
    args: [...(options.nodeArguments ?? []), sluiceMain, "run"],
    logFile: join(stage.folder, "sluice.log"),
    env: {
      ...options.options,
      ...process.env,
      SLUICE_REDIS_URL: stage.reach(stage.redisUrl),
      SLUICE_DATABASE_URL: stage.reach(databaseUrl),
      SLUICE_STREAMS: streams.join(","),
      SLUICE_HTTP_ADDRESS: `127.0.0.1:${await freePort()}`,
    },
  });
}

export function streamNames(shards: number, prefix = "cdc"): string[] {
  return Array.from({ length: shards }, (_, shard) => `${prefix}.${shard}`);
}

const timeoutMs = 600_000;

/** Waits until the database answers the query with true. */
export async function waitUntil(url: string, query: string, pollMs = 20): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  await withClient(url, async (client) => {
    for (;;) {
      const { rows } = await client.query<{ done: boolean | null }>(`SELECT (${query}) AS done`);
      if (rows[0]?.done === true) return;
      if (performance.now() > deadline) throw new Error(`not true after ${timeoutMs / 1000} s: ${query}`);
      await sleep(pollMs);
    }
  });
}
