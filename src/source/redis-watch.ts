import { sleep } from "../runtime/sleep.ts";
import { ask, type StreamRedis } from "./ask.ts";
import { openRedis } from "./connect.ts";

export interface RedisWatchOptions {
  readonly url: string;
  /** Shown by CLIENT LIST. */
  readonly name: string;
  /** Pause between two questions, in milliseconds. */
  readonly pauseMs: number;
  /** How long an answer may take, in milliseconds. */
  readonly answerMs: number;
}

/** One question alone may have failed because this process stood still, and would have been answered. */
const fewestFailures = 2;

/**
 * Asks Redis again and again whether it is there, in a loop of its own: neither waits for the leases nor they for it. A Redis that says
 * nothing must not keep a member from giving its shards to others that reach it.
 */
export class RedisWatch {
  private readonly options: RedisWatchOptions;
  private readonly stopping = new AbortController();
  private redis: StreamRedis | undefined;
  private loop: Promise<void> | undefined;
  private answeredAt = performance.now();
  private failures = 0;
  private answers = false;

  constructor(options: RedisWatchOptions) {
    this.options = options;
  }

  /** The last question was answered. */
  get reachable(): boolean {
    return this.answers;
  }

  /** Nothing was answered for so long. */
  isSilentFor(milliseconds: number): boolean {
    return this.failures >= fewestFailures && performance.now() - this.answeredAt > milliseconds;
  }

  /** Resolves with the first answer or failure. */
  async start(): Promise<void> {
    if (this.loop !== undefined) return;
    this.answeredAt = performance.now();
    const first = this.look();
    this.loop = first.then(() => this.run());
    await first;
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.redis?.disconnect();
    await this.loop;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await sleep(this.options.pauseMs, signal);
      if (!signal.aborted) await this.look();
    }
  }

  private async look(): Promise<void> {
    try {
      await ask(await this.connected(), [["PING"]], this.options.answerMs);
      this.answeredAt = performance.now();
      this.failures = 0;
      this.answers = true;
    } catch {
      this.failures++;
      this.answers = false;
    }
  }

  private async connected(): Promise<StreamRedis> {
    if (this.redis?.status === "ready") return this.redis;
    this.redis?.disconnect();
    this.redis = undefined;
    const { url, name, answerMs } = this.options;
    this.redis = await openRedis({ url, name, timeoutMs: answerMs, signal: this.stopping.signal });
    return this.redis;
  }
}
