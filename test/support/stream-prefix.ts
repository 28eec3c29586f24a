import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";

export interface StreamPrefix extends AsyncDisposable {
  /** Ends with a dot. */
  readonly prefix: string;
  /** The prefix itself, so that it can stand in a template. */
  toString(): string;
}

/** A key prefix of the test's own; its keys are removed at the end. */
export function ownPrefix(redisUrl: string): StreamPrefix {
  const prefix = `test-${randomUUID()}.`;
  return {
    prefix,
    toString: () => prefix,
    [Symbol.asyncDispose]: () => removeKeys(redisUrl, prefix),
  };
}

async function removeKeys(redisUrl: string, prefix: string): Promise<void> {
  const redis = new Redis(redisUrl);
  redis.on("error", () => undefined);
  try {
    let cursor = "0";
    do {
      const [next, keys] = await redis.scan(cursor, "MATCH", `${prefix}*`, "COUNT", 1_000);
      if (keys.length > 0) await redis.unlink(...keys);
      cursor = next;
    } while (cursor !== "0");
  } finally {
    redis.disconnect();
  }
}
