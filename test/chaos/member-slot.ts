import { join } from "node:path";
import type { ProgramExit } from "../../demo/local/process.ts";
import type { FaultProxy } from "../support/fault-proxy.ts";
import { startSluice, type Environment, type SluiceProcess } from "../support/sluice-process.ts";
import type { Findings } from "./findings.ts";

export interface SlotOptions {
  readonly index: number;
  /** Proxies of its own: a member can be cut from one store while the others are not. */
  readonly redis: FaultProxy;
  readonly database: FaultProxy;
  readonly environment: Environment;
  readonly folder: string;
  readonly findings: Findings;
}

/** Longest drain, past the program's own deadline, before it counts as hanging. */
const drainMs = 20_000;
const readyMs = 5_000;

/** The place of one member: which process runs there, under which name. */
export class MemberSlot {
  readonly index: number;
  readonly redis: FaultProxy;
  readonly database: FaultProxy;
  name: string;
  private readonly options: SlotOptions;
  private running: SluiceProcess | undefined;
  private renamed = 0;

  constructor(options: SlotOptions) {
    this.options = options;
    this.index = options.index;
    this.redis = options.redis;
    this.database = options.database;
    this.name = `m${options.index}`;
  }

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  /** Gives the member another name from the next start on, as a new container has. */
  rename(): void {
    this.renamed++;
    this.name = `m${this.index}-${this.renamed}`;
  }

  /** Does not wait until it is ready: a store may be down. */
  async start(): Promise<void> {
    const { environment, folder, findings } = this.options;
    const { name } = this;
    const process = await startSluice(
      {
        ...environment,
        SLUICE_REDIS_URL: this.redis.url,
        SLUICE_DATABASE_URL: this.database.url,
        SLUICE_MEMBER: name,
      },
      join(folder, `member-${name}.log`),
    );
    this.running = process;
    void process.process.exited.then(({ code, signal }) => {
      if (this.running !== process) return;
      this.running = undefined;
      findings.note("a member ended by itself", `${name}: ${signal ?? `exit ${code}`}`);
    });
  }

  /** Whether the process has registered; waits a little for one that has just begun. */
  async isReady(): Promise<boolean> {
    return await (this.running?.waitReady(readyMs) ?? Promise.reject(new Error("nobody runs"))).then(
      () => true,
      () => false,
    );
  }

  async kill(): Promise<void> {
    await this.takeOut()?.kill();
  }

  /** SIGTERM. Under faults a drain may fail (exit 1), but must end. */
  async stop(): Promise<ProgramExit | undefined> {
    const process = this.takeOut();
    if (process === undefined) return undefined;
    const exit = await process.process.stop({ graceMs: drainMs });
    if (exit.signal === "SIGKILL") this.options.findings.note("a drain hung", this.name);
    return exit;
  }

  /** The process is no longer this slot's: its end is expected. */
  takeOut(): SluiceProcess | undefined {
    const process = this.running;
    this.running = undefined;
    return process;
  }

  /** SIGSTOP. */
  pause(): void {
    signalProcess(this.running, "SIGSTOP");
  }

  /** SIGCONT. */
  resume(): void {
    signalProcess(this.running, "SIGCONT");
  }
}

export function signalProcess(sluice: SluiceProcess | undefined, signal: NodeJS.Signals): void {
  if (sluice?.process.running === true) process.kill(sluice.process.pid, signal);
}
