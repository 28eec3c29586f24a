import type { Redis } from "ioredis";
import { SluiceError } from "../errors/sluice-error.ts";
import { redisUnavailable } from "./connect.ts";

/** The client, for those who must not import it. */
export type StreamRedis = Redis;

export type RedisCommand = readonly [name: string, ...values: (string | number)[]];

const answerMs = 5_000;

/**
 * Sends commands together and gives the replies in order; a command that Redis answers with an error gives that error in its
 * place. Throws REDIS_UNAVAILABLE when the connection breaks or the time is up: the client may never settle by itself, so the
 * connection is then cut.
 */
export async function ask(
  redis: StreamRedis,
  commands: readonly RedisCommand[],
  withinMs = answerMs,
): Promise<readonly unknown[]> {
  if (commands.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const [name, ...values] of commands) pipeline.call(name, ...values);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      redis.disconnect();
      reject(new Error(`no answer within ${withinMs} ms`));
    }, withinMs);
  });
  const replies = await Promise.race([pipeline.exec(), late])
    .catch((error: unknown) => {
      throw redisUnavailable(error);
    })
    .finally(() => clearTimeout(timer));
  if (replies === null) throw redisUnavailable("no reply");
  return replies.map(([error, reply]) => {
    if (error === null) return reply;
    // Error replies have a class of their own; the rest are broken connections.
    if (error.name === "ReplyError") return error;
    throw redisUnavailable(error);
  });
}

/** The reply, or REDIS_REPLY when it is an error. */
export function valueOf(reply: unknown): unknown {
  if (!(reply instanceof Error)) return reply;
  throw new SluiceError("REDIS_REPLY", `Redis answered: ${reply.message}`, { cause: reply });
}

/** Empty when the reply is no list. */
export function listOf(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply : [];
}

/** A flat reply [name, value, …] as a map. */
export function pairs(reply: unknown): ReadonlyMap<string, unknown> {
  const flat = listOf(reply);
  return new Map(
    flat.flatMap((name, index) => (index % 2 === 0 ? [[String(name), flat[index + 1]] as const] : [])),
  );
}

/** The reply of TIME in milliseconds since 1970. */
export function milliseconds(time: unknown): number {
  const [seconds = 0, micros = 0] = listOf(time).map(Number);
  return seconds * 1000 + Math.floor(micros / 1000);
}

/** The reply says that there is no such key. */
export function isMissing(reply: unknown): boolean {
  return reply instanceof Error && reply.message.includes("no such key");
}

/** The id of an entry as XRANGE and XINFO give it. */
export function idOf(entry: unknown): string | undefined {
  const [id] = listOf(entry);
  return id === undefined ? undefined : String(id);
}
