import type { Redis } from "ioredis";
import { SluiceError } from "../errors/sluice-error.ts";
import { redisUnavailable } from "./connect.ts";

/** The client, for those who must not import it. */
export type StreamRedis = Redis;

export interface StreamInfo {
  readonly exists: boolean;
  readonly groupExists: boolean;
  readonly length: number;
  /** Undelivered plus pending; null when Redis cannot tell. Without a group, all that the stream holds. */
  readonly lagEntries: number | null;
  readonly pendingEntries: number;
  /** Age of the first entry after the checkpoint; 0 when there is none. */
  readonly freshnessSeconds: number;
}

export interface StreamPlace {
  readonly stream: string;
  readonly group: string;
  /** Id of the last applied entry; null: nothing was ever applied. */
  readonly checkpoint: string | null;
}

/** What Redis knows of one shard. One round trip; changes nothing. */
export async function readStreamInfo(redis: StreamRedis, place: StreamPlace): Promise<StreamInfo> {
  const start = place.checkpoint === null ? "-" : `(${place.checkpoint}`;
  const [time, length, groups, first] = await sendTogether(redis, [
    ["TIME"],
    ["XLEN", place.stream],
    ["XINFO", "GROUPS", place.stream],
    ["XRANGE", place.stream, start, "+", "COUNT", 1],
  ]);
  const exists = !(groups instanceof Error);
  const entries = numberOf(valueOf(length));
  const group = (exists ? listOf(groups) : []).map(pairs).find((each) => each.get("name") === place.group);
  const pending = numberOf(group?.get("pending") ?? 0);
  return {
    exists,
    groupExists: group !== undefined,
    length: entries,
    lagEntries: group === undefined ? entries : lagOf(group.get("lag"), pending),
    pendingEntries: pending,
    freshnessSeconds: ageSeconds(listOf(valueOf(first))[0], valueOf(time)),
  };
}

/** Null, or absent before Redis 7, is "unknown", which is not zero. */
function lagOf(lag: unknown, pending: number): number | null {
  return lag === null || lag === undefined ? null : numberOf(lag) + pending;
}

/** Entry ids begin with the milliseconds at which Redis took the entry. */
function ageSeconds(entry: unknown, time: unknown): number {
  if (entry === undefined) return 0;
  const addedMs = Number(String(listOf(entry)[0]).split("-")[0]);
  const [seconds, micros] = listOf(time).map(Number);
  const nowMs = (seconds ?? 0) * 1000 + Math.floor((micros ?? 0) / 1000);
  return Math.max(0, nowMs - addedMs) / 1000;
}

export interface RedisFacts {
  /** Such as 7.0.15. */
  readonly version: string;
  readonly role: string;
  readonly maxmemoryPolicy: string;
  /** Bytes; 0: no limit. */
  readonly maxmemory: number;
  readonly usedMemory: number;
  /** Undefined: the server does not say (CONFIG is refused by many hosted services). */
  readonly persistence: "aof" | "snapshots" | "off" | undefined;
}

/** Settings of the server that decide whether entries can be lost. */
export async function readRedisFacts(redis: StreamRedis): Promise<RedisFacts> {
  const [info, save] = await sendTogether(redis, [["INFO"], ["CONFIG", "GET", "save"]]);
  const facts = new Map(
    String(valueOf(info))
      .split(/\r?\n/)
      .map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1)];
      }),
  );
  return {
    version: facts.get("redis_version") ?? "",
    role: facts.get("role") ?? "",
    maxmemoryPolicy: facts.get("maxmemory_policy") ?? "",
    maxmemory: Number(facts.get("maxmemory") ?? 0),
    usedMemory: Number(facts.get("used_memory") ?? 0),
    persistence: facts.get("aof_enabled") === "1" ? "aof" : snapshots(save),
  };
}

function snapshots(reply: unknown): RedisFacts["persistence"] {
  if (reply instanceof Error || !Array.isArray(reply)) return undefined;
  return reply[1] === "" ? "off" : "snapshots";
}

/** Replies in order; a command that Redis answers with an error gives that error in its place. */
async function sendTogether(
  redis: StreamRedis,
  commands: readonly (readonly (string | number)[])[],
): Promise<readonly unknown[]> {
  const pipeline = redis.pipeline();
  for (const [name, ...values] of commands) pipeline.call(String(name), ...values);
  const replies = await pipeline.exec().catch((error: unknown) => {
    throw redisUnavailable(error);
  });
  if (replies === null) throw redisUnavailable("no reply");
  return replies.map(([error, reply]) => {
    if (error === null) return reply;
    // Error replies have a class of their own; the rest are broken connections.
    if (error.name === "ReplyError") return error;
    throw redisUnavailable(error);
  });
}

function valueOf(reply: unknown): unknown {
  if (!(reply instanceof Error)) return reply;
  throw new SluiceError("REDIS_REPLY", `Redis answered: ${reply.message}`, { cause: reply });
}

function listOf(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply : [];
}

/** A flat reply [name, value, …] as a map. */
function pairs(reply: unknown): ReadonlyMap<string, unknown> {
  const flat = listOf(reply);
  return new Map(
    flat.flatMap((name, index) => (index % 2 === 0 ? [[String(name), flat[index + 1]] as const] : [])),
  );
}

function numberOf(reply: unknown): number {
  return Number(reply);
}
