import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../demo/local/free-port.ts";
import { end, endWithParent, hasEnded } from "../../demo/local/process.ts";

export type Environment = Readonly<Record<string, string>>;

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningSluice {
  readonly process: ChildProcess;
  /** Of /status, /metrics and the health checks. */
  readonly httpUrl: string;
  stop(): Promise<number | null>;
  kill(): Promise<void>;
  waitReady(timeoutMs?: number): Promise<void>;
  /** Standard output and error so far. */
  output(): string;
}

const program = join(import.meta.dirname, "../../dist/main.js");

/** Runs a command of the built program to its end. */
export async function runSluice(args: readonly string[], env: Environment): Promise<Finished> {
  const child = launch(args, env);
  const output = { stdout: "", stderr: "" };
  child.stdout?.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  await once(child, "close");
  return { code: child.exitCode, ...output };
}

/** Starts `sluice run`, on a free port unless the environment says which. */
export async function startSluice(env: Environment): Promise<RunningSluice> {
  const address = env["SLUICE_HTTP_ADDRESS"] ?? `127.0.0.1:${await freePort()}`;
  const child = launch(["run"], { ...env, SLUICE_HTTP_ADDRESS: address });
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const httpUrl = `http://${address}`;
  return {
    process: child,
    httpUrl,
    stop: async () => {
      await end(child, "SIGTERM", 60_000);
      return child.exitCode;
    },
    kill: () => end(child, "SIGKILL", 5_000),
    waitReady: (timeoutMs = 30_000) => waitReady(child, httpUrl, timeoutMs, () => output),
    output: () => output,
  };
}

function launch(args: readonly string[], env: Environment): ChildProcess {
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  endWithParent(child, "SIGTERM");
  return child;
}

async function waitReady(
  child: ChildProcess,
  httpUrl: string,
  timeoutMs: number,
  output: () => string,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await answers(`${httpUrl}/readyz`))) {
    if (hasEnded(child)) throw new Error(`sluice ended with ${String(child.exitCode)}\n${output()}`);
    if (performance.now() > deadline) throw new Error(`sluice was not ready in time\n${output()}`);
    await sleep(50);
  }
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(url).catch(() => undefined);
  await response?.body?.cancel();
  return response?.ok === true;
}
