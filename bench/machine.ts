import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { ensureServers } from "../demo/local/install.ts";
import { runToEnd } from "../demo/local/process.ts";

/** What the figures depend on. */
export interface Machine {
  readonly cores: number;
  readonly processor: string;
  readonly memoryGib: number;
  readonly node: string;
  readonly postgres: string;
  readonly redis: string;
}

/** Installs PostgreSQL and Redis where they are missing, so that their versions can be told. */
export async function describeMachine(): Promise<Machine> {
  const { postgresFolder, redisServer } = await ensureServers();
  const version = async (program: string): Promise<string> =>
    /\d+\.\d+(\.\d+)?/.exec(await runToEnd(program, ["--version"]))?.[0] ?? "?";
  return {
    cores: cpus().length,
    processor: cpus()[0]?.model ?? "?",
    memoryGib: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    postgres: await version(join(postgresFolder, "postgres")),
    redis: await version(redisServer),
  };
}
