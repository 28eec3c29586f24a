import { setTimeout as pause } from "node:timers/promises";
import type { Redis } from "ioredis";

const name = "audit";
const pauseMs = 300;

/**
 * Another application with a consumer group of its own on one of the streams. It is slow, and must nevertheless see every
 * entry: trimming waits for it.
 */
export class Auditor {
  /** Entries of its stream that it has seen. */
  seen = 0;
  readonly stream: string;
  private readonly redis: Redis;
  private lastId = "0-0";
  private stopping = false;
  private ended: Promise<void> | undefined;

  constructor(redis: Redis, stream: string) {
    this.redis = redis.duplicate();
    this.redis.on("error", () => undefined);
    this.stream = stream;
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
    let from = "0";
    while (!this.stopping) {
      try {
        // What was delivered and never arrived comes first.
        from = (await this.read(from)) ? from : ">";
      } catch {
        from = "0";
      }
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
    this.seen += ids.filter((id) => isAfter(id, this.lastId)).length;
    this.lastId = ids.at(-1) ?? this.lastId;
    await this.redis.xack(this.stream, name, ...ids);
    return true;
  }
}

function isAfter(left: string, right: string): boolean {
  const [leftMs = 0, leftSequence = 0] = left.split("-").map(Number);
  const [rightMs = 0, rightSequence = 0] = right.split("-").map(Number);
  return leftMs === rightMs ? leftSequence > rightSequence : leftMs > rightMs;
}
