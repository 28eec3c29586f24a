import { Redis } from "ioredis";
import { SluiceError } from "../errors/sluice-error.ts";
import { ReceivingConnector } from "./receiving-socket.ts";

export interface RedisOptions {
  readonly url: string;
  /** Shown by CLIENT LIST. */
  readonly name: string;
  /** How long connecting may take, and an answer of a command that does not block, in milliseconds. */
  readonly timeoutMs?: number;
  /** Gives up connecting. */
  readonly signal?: AbortSignal;
}

/**
 * A connection that is never mended: when it breaks, its commands fail and its user starts again on a new one. A client
 * that reconnects by itself sends unanswered reads again, and each such read makes a hole (I3).
 */
export async function openRedis(options: RedisOptions): Promise<Redis> {
  const redis = new Redis(options.url, {
    connectionName: options.name,
    lazyConnect: true,
    // With TLS its bytes come from elsewhere than the socket.
    ...(options.url.startsWith("rediss:") ? {} : { Connector: ReceivingConnector }),
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
  const limit = options.timeoutMs ?? 5_000;
  let timer: NodeJS.Timeout | undefined;
  let giveUp: () => void = () => undefined;
  // The client's own limit ends when the socket is open; a server that then says nothing would never be given up.
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limit} ms`)), limit);
    giveUp = () => reject(new Error("connecting was given up"));
    options.signal?.addEventListener("abort", giveUp, { once: true });
    if (options.signal?.aborted === true) giveUp();
  });
  try {
    await Promise.race([redis.connect(), late]);
    return redis;
  } catch (error) {
    redis.disconnect();
    throw redisUnavailable(failure ?? error);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", giveUp);
  }
}

export function redisUnavailable(cause: unknown): SluiceError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SluiceError("REDIS_UNAVAILABLE", `Redis is not available: ${reason}`, {
    place: { option: "SLUICE_REDIS_URL" },
    cause,
  });
}
