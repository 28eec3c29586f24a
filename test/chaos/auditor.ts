import { setTimeout as pause } from "node:timers/promises";
import type { Redis } from "ioredis";

const name = "audit";
const pauseMs = 300;

/**
 * Another application with a consumer group of its own on one of the streams. It is slow, and must nevertheless see every
 * entry: trimming waits for it.
 */
export class Auditor {
  readonly stream: string;
  private readonly redis: Redis;
  private readonly ids = new Set<string>();
  private stopping = false;
  private ended: Promise<void> | undefined;

  constructor(redis: Redis, stream: string) {
    this.redis = redis.duplicate();
    this.redis.on("error", () => undefined);
    this.stream = stream;
  }

  /** How many entries of its stream it has seen. */
  get seen(): number {
    return this.ids.size;
  }

  async start(): Promise<void> {
    await this.redis.xgroup("CREATE", this.stream, name, "0", "MKSTREAM");
    this.ended = this.run();
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.ended;
    this.redis.disconnect();
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      // What was delivered and never arrived comes first. A lost reply need not be an error: the client may ask again by itself.
      await this.read("0")
        .then((found) => found || this.read(">"))
        .catch(() => undefined);
      await pause(pauseMs);
    }
  }

  /** False when there was nothing. */
  private async read(from: string): Promise<boolean> {
    const reply = (await this.redis.xreadgroup(
      "GROUP",
      name,
      "auditor",
      "COUNT",
      1_000,
      "STREAMS",
      this.stream,
      from,
    )) as [string, [string, string[] | null][]][] | null;
    const ids = (reply?.[0]?.[1] ?? []).map(([id]) => id);
    if (ids.length === 0) return false;
    for (const id of ids) this.ids.add(id);
    await this.redis.xack(this.stream, name, ...ids);
    return true;
  }
}
