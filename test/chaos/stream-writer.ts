import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import type { Tally } from "./primary.ts";

export interface NewEntry {
  readonly stream: string;
  readonly fields: readonly string[];
  readonly tally: Tally | undefined;
}

/** Longest wait for Redis's answer. */
const answerMs = 3_000;
const againMs = 50;

/**
 * Appends until Redis has taken everything, whatever happens to it meanwhile. As Debezium does, it sends again what was refused
 * after what was taken, and what was not answered although it may be there.
 */
export class StreamWriter {
  /** Entries that Redis took, sent again ones included. */
  taken = 0;
  /** Tries that were refused or not answered. */
  failures = 0;
  /** What Redis said last when it took nothing. */
  lastRefusal = "";
  private readonly url: string;
  private redis: Redis | undefined;
  private closed = false;

  constructor(url: string) {
    this.url = url;
  }

  /** `together`: all or none, so that changes of one key never change places. */
  async append(entries: readonly NewEntry[], how: "singly" | "together"): Promise<void> {
    let left = entries;
    while (left.length > 0 && !this.closed) {
      left = await this.attempt(left, how);
      if (left.length > 0) await pause(againMs);
    }
  }

  close(): void {
    this.closed = true;
    this.disconnect();
  }

  private disconnect(): void {
    this.redis?.disconnect();
    this.redis = undefined;
  }

  /** Returns those to be sent again. */
  private async attempt(
    entries: readonly NewEntry[],
    how: "singly" | "together",
  ): Promise<readonly NewEntry[]> {
    const redis = (this.redis ??= connect(this.url));
    const pipeline = how === "together" ? redis.multi() : redis.pipeline();
    for (const { stream, fields } of entries) pipeline.xadd(stream, "*", ...fields);
    let replies: [error: Error | null, result: unknown][] | null;
    try {
      replies = await answered(redis, pipeline.exec());
    } catch (error) {
      this.failures++;
      this.lastRefusal = String(error);
      if (error instanceof Error && error.name === "ReplyError") return entries;
      this.disconnect();
      for (const { tally } of entries) if (tally !== undefined) tally.unsure++;
      return entries;
    }
    return this.count(entries, replies ?? []);
  }

  private count(
    entries: readonly NewEntry[],
    replies: readonly [error: Error | null, result: unknown][],
  ): readonly NewEntry[] {
    const again: NewEntry[] = [];
    for (const [index, entry] of entries.entries()) {
      const [error] = replies[index] ?? [new Error("no reply")];
      if (error === null) {
        this.taken++;
        if (entry.tally !== undefined) entry.tally.sure++;
        continue;
      }
      this.lastRefusal = String(error);
      if (error.name !== "ReplyError") {
        this.disconnect();
        if (entry.tally !== undefined) entry.tally.unsure++;
      }
      again.push(entry);
    }
    if (again.length > 0) this.failures++;
    return again;
  }
}

/** A connection that is never mended and never sends by itself again. */
function connect(url: string): Redis {
  const redis = new Redis(url, {
    retryStrategy: () => null,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: answerMs,
  });
  redis.on("error", () => undefined);
  return redis;
}

/** The client may never settle the promise of a connection that broke. */
async function answered<T>(redis: Redis, promise: Promise<T>): Promise<T> {
  const ended = Promise.withResolvers<never>();
  const fail = (): void => ended.reject(new Error("no answer"));
  const timer = setTimeout(fail, answerMs);
  redis.once("end", fail);
  try {
    return await Promise.race([promise, ended.promise]);
  } finally {
    clearTimeout(timer);
    redis.off("end", fail);
    promise.catch(() => undefined);
  }
}
