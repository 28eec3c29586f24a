import type { Redis } from "ioredis";
import { firstEntryId } from "../change/entry-id.ts";
import { pairs } from "./ask.ts";

/** What a stream holds and has held. */
export interface StreamExtent {
  /** Undefined: the stream is empty. */
  readonly firstId: string | undefined;
  readonly lastId: string;
  /** The highest id that XDEL removed; undefined: none, or the server does not tell. */
  readonly maxDeletedId: string | undefined;
  /** Entries ever added, removed ones included. */
  readonly added: bigint;
  readonly length: bigint;
  /** The checkpoint's entry is in the stream; undefined: not known. */
  readonly checkpointPresent?: boolean;
  /** So is the last entry that was seen before. */
  readonly seenPresent?: boolean;
}

export interface ExpectedEntries {
  readonly checkpoint?: string | undefined;
  readonly seen?: string | undefined;
}

/** Undefined when there is no such key. */
export async function readStreamExtent(
  redis: Redis,
  stream: string,
  { checkpoint, seen }: ExpectedEntries = {},
): Promise<StreamExtent | undefined> {
  let reply: unknown;
  let checkpointPresent: boolean | undefined;
  let seenPresent: boolean | undefined;
  try {
    // In this order: trimmed in between, an entry is there and then not, which tells nothing; the other way round it would tell a lie.
    checkpointPresent = await isThere(redis, stream, checkpoint);
    seenPresent = await isThere(redis, stream, seen);
    reply = await redis.call("XINFO", "STREAM", stream);
  } catch (error) {
    if (error instanceof Error && error.message.includes("no such key")) return undefined;
    throw error;
  }
  const extent = extentOf(reply);
  return (
    extent && {
      ...extent,
      ...(checkpointPresent === undefined ? {} : { checkpointPresent }),
      ...(seenPresent === undefined ? {} : { seenPresent }),
    }
  );
}

/** From the reply of XINFO STREAM. */
export function extentOf(reply: unknown): StreamExtent | undefined {
  if (!Array.isArray(reply)) return undefined;
  const facts = pairs(reply);
  const first = facts.get("first-entry");
  return {
    firstId: Array.isArray(first) ? String(first[0]) : undefined,
    lastId: String(facts.get("last-generated-id")),
    maxDeletedId: deletedId(facts.get("max-deleted-entry-id")),
    added: BigInt(String(facts.get("entries-added"))),
    length: BigInt(String(facts.get("length"))),
  };
}

async function isThere(redis: Redis, stream: string, id: string | undefined): Promise<boolean | undefined> {
  return id === undefined ? undefined : (await redis.xrange(stream, id, id)).length > 0;
}

/** `0-0` stands for none. */
function deletedId(reply: unknown): string | undefined {
  return reply === undefined || reply === firstEntryId ? undefined : String(reply);
}
