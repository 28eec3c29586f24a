import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { findProgram } from "./locate.ts";

/**
 * Programs that this process starts and that never outlive it.
 *
 * Each has a process group of its own, so that Ctrl-C in the terminal reaches only this process, which then decides the
 * order, and so that a program's children end with it. Three nets: `stop()`, the hook at exit, and, where Linux has it, the
 * kernel's parent-death signal, which also holds when this process is killed.
 */
export interface Program {
  readonly pid: number;
  readonly logFile: string;
  readonly running: boolean;
  /** Resolves when the program has ended, for whatever reason. */
  readonly exited: Promise<ProgramExit>;
  /** Asks with `signal` and ends it by force when it takes longer than `graceMs`. */
  stop(options?: { readonly signal?: NodeJS.Signals; readonly graceMs?: number }): Promise<ProgramExit>;
  /** SIGKILL to the whole group. */
  kill(): Promise<ProgramExit>;
  /** What this run has written so far. */
  log(): string;
}

export interface ProgramExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProgramOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Standard output and error are appended here. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Another account to run as; only root can. */
  readonly user?: string;
}

/** Starts a program; resolves once it runs, which does not mean that it is ready: see `waitUntilReady`. */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const [command, args] = wrapped(options);
  const log = openSync(options.logFile, "a");
  const logStart = statSync(options.logFile).size;
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const exited = exitOf(child);
  const pid = await pidOf(child, options.name);
  const forget = atExit(() => signalGroup(pid, "SIGKILL"));
  void exited.then(forget);
  return programOf({ child, pid, exited, logFile: options.logFile, logStart });
}

interface Started {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly exited: Promise<ProgramExit>;
  readonly logFile: string;
  readonly logStart: number;
}

function programOf({ child, pid, exited, logFile, logStart }: Started): Program {
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  const signal = (name: NodeJS.Signals): void => {
    if (isRunning()) signalGroup(pid, name);
  };
  const kill = (): Promise<ProgramExit> => {
    signal("SIGKILL");
    return exited;
  };
  return {
    pid,
    logFile,
    exited,
    kill,
    get running() {
      return isRunning();
    },
    async stop({ signal: name = "SIGTERM", graceMs = 15_000 } = {}) {
      signal(name);
      const timer = setTimeout(() => void kill(), graceMs);
      return exited.finally(() => clearTimeout(timer));
    },
    log: () => readFileSync(logFile).subarray(logStart).toString("utf8"),
  };
}

export interface ReadyOptions {
  readonly name: string;
  readonly timeoutMs: number;
  readonly isReady: () => Promise<boolean>;
}

/** Asks until the answer is yes. A program that ends meanwhile, or the time-out, is an error with the end of its log. */
export async function waitUntilReady(program: Program, options: ReadyOptions): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    if (!program.running) {
      const { code, signal } = await program.exited;
      throw new Error(`${options.name} ended early (${signal ?? `exit ${code}`})${tail(program)}`);
    }
    if (await options.isReady()) return;
    if (performance.now() > deadline) {
      throw new Error(`${options.name} was not ready within ${options.timeoutMs / 1000} s${tail(program)}`);
    }
    await sleep(50);
  }
}

/** Runs a program to its end; an exit other than 0 is an error with what it wrote. */
export async function runToEnd(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const forget = atExit(() => child.kill("SIGKILL"));
  const chunks: Buffer[] = [];
  const collect = (chunk: Buffer): void => void chunks.push(chunk);
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once("error", reject);
  child.once("close", resolve);
  const code = await promise.finally(forget);
  const output = Buffer.concat(chunks).toString("utf8");
  if (code === 0) return output;
  throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${output.trimEnd().slice(-4_000)}`);
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const hooks = new Set<() => void>();
let hooked = false;

/** Runs `hook` when this process ends, also by a signal that nobody else handles. Returns how to take it back. */
export function atExit(hook: () => void): () => void {
  if (!hooked) {
    hooked = true;
    process.on("exit", () => {
      // Last in, first out: programs end before the folders they write to are removed.
      for (const each of [...hooks].toReversed()) attempt(each);
    });
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      const end = (): void => {
        // Whoever else listens has a plan of their own and ends the process in time.
        if (process.listenerCount(signal) === 1) process.exit(128 + constants.signals[signal]);
      };
      process.on(signal, end);
    }
  }
  hooks.add(hook);
  return () => void hooks.delete(hook);
}

function attempt(hook: () => void): void {
  try {
    hook();
  } catch {
    // The other hooks matter more than the report of this one: nobody is left to read it.
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    const gone = error instanceof Error && "code" in error && error.code === "ESRCH";
    if (!gone) throw error;
  }
}

let deathSignal: boolean | undefined;

/** `setpriv` replaces itself by the program, so that the process id and the signals are the program's own. */
function wrapped({ name, command, args, user }: ProgramOptions): [string, string[]] {
  const setpriv = findProgram("setpriv");
  if (setpriv === undefined) {
    if (user !== undefined)
      throw new Error(`${name} does not run as root, and setpriv (util-linux) is missing`);
    return [command, [...args]];
  }
  deathSignal ??= spawnSync(setpriv, ["--pdeathsig", "KILL", "true"]).status === 0;
  const identity = user === undefined ? [] : ["--reuid", user, "--regid", user, "--init-groups"];
  const death = deathSignal ? ["--pdeathsig", "KILL"] : [];
  const prefix = [...identity, ...death];
  return prefix.length === 0 ? [command, [...args]] : [setpriv, [...prefix, "--", command, ...args]];
}

function exitOf(child: ChildProcess): Promise<ProgramExit> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.once("error", () => resolve({ code: null, signal: null }));
  });
}

function pidOf(child: ChildProcess, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(new Error(`${name} could not be started: ${error.message}`)));
    child.once("spawn", () => resolve(child.pid ?? 0));
  });
}

function tail(program: Program): string {
  const lines = program.log().trimEnd().split("\n").slice(-30);
  return `; the end of ${program.logFile}:\n${lines.join("\n")}`;
}
