import type { Redis } from "ioredis";
import type { DatabaseAdmin } from "./database-admin.ts";
import { group } from "./stage.ts";

export interface ShardFacts {
  readonly stream: string;
  readonly checkpoint: string | null;
  readonly entries: number;
  readonly changes: number;
  readonly owner: string | null;
  readonly epoch: number;
  readonly state: string;
  readonly leased: boolean;
}

export const selectShards = `
  SELECT stream, checkpoint, entries::float8, (changes_applied + changes_skipped)::float8 AS changes, owner,
         epoch::float8, state, coalesce(lease_until > clock_timestamp(), false) AS leased
  FROM sluice.shard ORDER BY stream`;

export async function readShards(database: DatabaseAdmin): Promise<ShardFacts[]> {
  return await database.query<ShardFacts>(selectShards);
}

export interface StreamState {
  readonly stream: string;
  readonly lastId: string;
  readonly firstId: string | undefined;
  /** Entries ever added, and those of them that were removed. */
  readonly added: number;
  readonly removed: number;
}

export async function readStreams(redis: Redis, streams: readonly string[]): Promise<StreamState[]> {
  return await Promise.all(
    streams.map(async (stream) => {
      const facts = pairs(await redis.xinfo("STREAM", stream));
      const added = Number(facts.get("entries-added"));
      const first = facts.get("first-entry");
      return {
        stream,
        lastId: String(facts.get("last-generated-id")),
        firstId: Array.isArray(first) ? String(first[0]) : undefined,
        added,
        removed: added - Number(facts.get("length")),
      };
    }),
  );
}

export interface GroupState {
  readonly lastDeliveredId: string;
  readonly pending: number;
  readonly consumers: readonly string[];
}

/** Undefined: there is no such group. */
export async function readGroup(redis: Redis, stream: string): Promise<GroupState | undefined> {
  const groups = ((await redis.xinfo("GROUPS", stream)) as unknown[]).map(pairs);
  const own = groups.find((facts) => facts.get("name") === group);
  if (own === undefined) return undefined;
  const consumers = ((await redis.xinfo("CONSUMERS", stream, group)) as unknown[]).map(pairs);
  return {
    lastDeliveredId: String(own.get("last-delivered-id")),
    pending: Number(own.get("pending")),
    consumers: consumers.map((facts) => String(facts.get("name"))).sort(),
  };
}

function pairs(reply: unknown): ReadonlyMap<string, unknown> {
  const list = reply as unknown[];
  return new Map(list.flatMap((name, index) => (index % 2 === 0 ? [[String(name), list[index + 1]]] : [])));
}
