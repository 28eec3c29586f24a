import { addedAtMs } from "../change/entry-id.ts";
import { ask, idOf, isMissing, listOf, milliseconds, pairs, valueOf, type StreamRedis } from "./ask.ts";

export interface StreamInfo {
  readonly exists: boolean;
  readonly groupExists: boolean;
  readonly length: number;
  /** Undelivered plus pending; null when Redis cannot tell. Without a group, all that the stream holds. */
  readonly lagEntries: number | null;
  readonly pendingEntries: number;
  /** Age of the first entry after the checkpoint; 0 when there is none. */
  readonly freshnessSeconds: number;
  /** The oldest entry left; undefined: the stream is empty. */
  readonly firstId: string | undefined;
  /** Age of the oldest entry left: how far back a replay can begin. 0 when the stream is empty. */
  readonly windowSeconds: number;
  /** The last id that the stream gave; undefined when it does not exist. */
  readonly lastId: string | undefined;
  /** Memory of the stream, estimated by Redis from some of its entries; undefined when it does not tell. */
  readonly bytes: number | undefined;
}

export interface StreamPlace {
  readonly stream: string;
  readonly group: string;
  /** Id of the last applied entry; null: nothing was ever applied. */
  readonly checkpoint: string | null;
}

/** What Redis knows of one shard. One round trip; changes nothing. */
export async function readStreamInfo(redis: StreamRedis, place: StreamPlace): Promise<StreamInfo> {
  const { stream, checkpoint } = place;
  const start = checkpoint === null ? "-" : `(${checkpoint}`;
  const [time, extent, groups, unapplied, memory] = await ask(redis, [
    ["TIME"],
    ["XINFO", "STREAM", stream],
    ["XINFO", "GROUPS", stream],
    ["XRANGE", stream, start, "+", "COUNT", 1],
    ["MEMORY", "USAGE", stream],
  ]);
  const exists = !isMissing(extent);
  const facts = pairs(exists ? valueOf(extent) : []);
  const length = Number(facts.get("length") ?? 0);
  const group = listOf(groups)
    .map(pairs)
    .find((each) => each.get("name") === place.group);
  const pending = Number(group?.get("pending") ?? 0);
  const nowMs = milliseconds(valueOf(time));
  const first = idOf(facts.get("first-entry"));
  return {
    exists,
    groupExists: group !== undefined,
    length,
    lagEntries: group === undefined ? length : lagOf(group.get("lag"), pending),
    pendingEntries: pending,
    freshnessSeconds: ageSeconds(idOf(listOf(valueOf(unapplied))[0]), nowMs),
    firstId: first,
    windowSeconds: ageSeconds(first, nowMs),
    lastId: exists ? String(facts.get("last-generated-id")) : undefined,
    bytes: memory === null || memory instanceof Error ? undefined : Number(memory),
  };
}

/** Null, or absent before Redis 7, is "unknown", which is not zero. */
function lagOf(lag: unknown, pending: number): number | null {
  return lag === null || lag === undefined ? null : Number(lag) + pending;
}

function ageSeconds(entryId: string | undefined, nowMs: number): number {
  return entryId === undefined ? 0 : Math.max(0, nowMs - addedAtMs(entryId)) / 1000;
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
  /** Another one means that the server was restarted or that a replica took over; empty when it is not told. */
  readonly replicationId: string;
}

/** Settings of the server that decide whether entries can be lost. */
export async function readRedisFacts(redis: StreamRedis): Promise<RedisFacts> {
  const [info, save] = await ask(redis, [["INFO"], ["CONFIG", "GET", "save"]]);
  const facts = infoFacts(valueOf(info));
  return {
    version: facts.get("redis_version") ?? "",
    role: facts.get("role") ?? "",
    maxmemoryPolicy: facts.get("maxmemory_policy") ?? "",
    maxmemory: Number(facts.get("maxmemory") ?? 0),
    usedMemory: Number(facts.get("used_memory") ?? 0),
    persistence: facts.get("aof_enabled") === "1" ? "aof" : snapshots(save),
    replicationId: facts.get("master_replid") ?? "",
  };
}

/** Bytes that Redis uses now. */
export async function readUsedMemory(redis: StreamRedis): Promise<number> {
  const [info] = await ask(redis, [["INFO", "memory"]]);
  return Number(infoFacts(valueOf(info)).get("used_memory") ?? 0);
}

/** The lines `name:value` of INFO. */
function infoFacts(info: unknown): ReadonlyMap<string, string> {
  const lines = String(info).split(/\r?\n/);
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]));
}

function snapshots(reply: unknown): RedisFacts["persistence"] {
  if (reply instanceof Error || !Array.isArray(reply)) return undefined;
  return reply[1] === "" ? "off" : "snapshots";
}
