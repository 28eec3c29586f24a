import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { sluiceMain } from "../../demo/local/build-sluice.ts";
import { freePort } from "../../demo/local/free-port.ts";
import { startProgram, waitUntilReady, type Program, type ProgramExit } from "../../demo/local/process.ts";
import { createTempFolder } from "../../demo/local/temp-folder.ts";

/** Runs the built program as its users do: a process of its own, told what to do by arguments and environment. */

export type Environment = Readonly<Record<string, string>>;

export interface SluiceRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that ends by itself, such as `migrate` or `check`. Never throws for an exit code. */
export async function runSluice(args: readonly string[], env: Environment = {}): Promise<SluiceRun> {
  requireBuild();
  const child = spawn(process.execPath, [sluiceMain, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (output.stderr += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { code, ...output };
}

export interface SluiceProcess extends AsyncDisposable {
  readonly process: Program;
  /** http://host:port of `/status`, `/metrics`, `/readyz`. */
  readonly httpUrl: string;
  /** Resolves when `/readyz` answers 200; an early end is an error with the end of the log. */
  waitReady(timeoutMs?: number): Promise<void>;
  /** SIGTERM: drains. */
  stop(): Promise<ProgramExit>;
  kill(): Promise<ProgramExit>;
  log(): string;
}

/** `sluice run`, on a free port unless SLUICE_HTTP_ADDRESS says otherwise; its log goes to `logFile`. */
export async function startSluice(env: Environment, logFile = defaultLogFile()): Promise<SluiceProcess> {
  requireBuild();
  const address = env["SLUICE_HTTP_ADDRESS"] ?? `127.0.0.1:${await freePort()}`;
  const program = await startProgram({
    name: "sluice",
    command: process.execPath,
    args: [sluiceMain, "run"],
    logFile,
    env: { ...process.env, ...env, SLUICE_HTTP_ADDRESS: address },
  });
  const httpUrl = `http://${address}`;
  return {
    process: program,
    httpUrl,
    waitReady: (timeoutMs = 60_000) =>
      waitUntilReady(program, { name: "sluice", timeoutMs, isReady: () => isReady(httpUrl) }),
    stop: () => program.stop({ graceMs: 60_000 }),
    kill: () => program.kill(),
    log: () => program.log(),
    async [Symbol.asyncDispose]() {
      await program.stop({ graceMs: 60_000 });
    },
  };
}

async function isReady(httpUrl: string): Promise<boolean> {
  try {
    const response = await fetch(`${httpUrl}/readyz`, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** Gone with this process; whoever wants to keep a log names its place. */
function defaultLogFile(): string {
  return join(createTempFolder("sluice-log-").path, "sluice.log");
}

function requireBuild(): void {
  if (!existsSync(sluiceMain)) throw new Error(`${sluiceMain} is missing; run: npm run build`);
}
