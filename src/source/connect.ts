import { Redis } from "ioredis";
import { SluiceError } from "../errors/sluice-error.ts";

export interface RedisOptions {
  readonly url: string;
  /** Shown by CLIENT LIST. */
  readonly name: string;
  /** How long connecting may take, and an answer of a command that does not block, in milliseconds. */
  readonly timeoutMs?: number;
}

/**
 * A connection that is never mended: when it breaks, its commands fail and its user starts again on a new one. A client
 * that reconnects by itself sends unanswered reads again, and each such read makes a hole (I3).
 */
export async function openRedis(options: RedisOptions): Promise<Redis> {
  const redis = new Redis(options.url, {
    connectionName: options.name,
    lazyConnect: true,
    protocol: 2,
    retryStrategy: () => null,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: options.timeoutMs ?? 5_000,
  });
  let failure: unknown;
  redis.on("error", (error: unknown) => {
    failure = error;
  });
  try {
    await redis.connect();
    return redis;
  } catch (error) {
    redis.disconnect();
    throw redisUnavailable(failure ?? error);
  }
}

export function redisUnavailable(cause: unknown): SluiceError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SluiceError("REDIS_UNAVAILABLE", `Redis is not available: ${reason}`, { cause });
}
