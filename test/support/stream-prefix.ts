import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";

/** Keys of one test in a Redis that others use too; gone after it. */
export interface StreamPrefix extends AsyncDisposable {
  /** Ends with a dot. */
  readonly prefix: string;
  /** `prefix0` … `prefixN-1` */
  streams(count: number): string[];
}

export function createStreamPrefix(redisUrl: string): StreamPrefix {
  const prefix = `test-${randomBytes(6).toString("hex")}.`;
  return {
    prefix,
    streams: (count) => Array.from({ length: count }, (_, shard) => `${prefix}${shard}`),
    [Symbol.asyncDispose]: () => removeKeys(redisUrl, prefix),
  };
}

async function removeKeys(redisUrl: string, prefix: string): Promise<void> {
  const redis = new Redis(redisUrl);
  try {
    let cursor = "0";
    do {
      const [next, keys] = await redis.scan(cursor, "MATCH", `${prefix}*`, "COUNT", 1000);
      if (keys.length > 0) await redis.unlink(keys);
      cursor = next;
    } while (cursor !== "0");
  } finally {
    redis.disconnect();
  }
}
