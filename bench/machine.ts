import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { findPostgresFolder, findProgram } from "../demo/local/locate.ts";
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

export async function describeMachine(): Promise<Machine> {
  const version = async (program: string): Promise<string> =>
    /\d+\.\d+(\.\d+)?/.exec(await runToEnd(program, ["--version"]))?.[0] ?? "?";
  return {
    cores: cpus().length,
    processor: cpus()[0]?.model ?? "?",
    memoryGib: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    postgres: await version(join(findPostgresFolder() ?? "", "postgres")),
    redis: await version(findProgram("redis-server") ?? "redis-server"),
  };
}
