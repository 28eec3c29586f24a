import { ask, idOf, isMissing, listOf, pairs, valueOf, type StreamRedis } from "./ask.ts";

/** What decides whether entries of a stream may go. */
export interface StreamFacts {
  readonly stream: string;
  readonly length: number;
  /** Undefined: the stream is empty. */
  readonly firstId: string | undefined;
  /** The last id that the stream gave, to an entry that may be gone. */
  readonly lastId: string;
  /** Entries ever added, removed ones included. */
  readonly added: bigint;
  readonly groups: readonly GroupFacts[];
  /** Names of the pipeline's own group's consumers. */
  readonly consumers: readonly string[];
}

export interface GroupFacts {
  readonly name: string;
  readonly lastDeliveredId: string;
  /** The oldest entry that was delivered and not acknowledged. */
  readonly firstPendingId: string | undefined;
}

/** How many streams are asked for at once: the replies carry two whole entries each. */
const together = 8;

/** Those of the streams that exist, by name. */
export async function readStreamFacts(
  redis: StreamRedis,
  streams: readonly string[],
  group: string,
): Promise<ReadonlyMap<string, StreamFacts>> {
  const facts = new Map<string, StreamFacts>();
  for (let index = 0; index < streams.length; index += together) {
    for (const each of await readSome(redis, streams.slice(index, index + together), group)) {
      facts.set(each.stream, each);
    }
  }
  return facts;
}

async function readSome(
  redis: StreamRedis,
  streams: readonly string[],
  group: string,
): Promise<StreamFacts[]> {
  const replies = await ask(
    redis,
    streams.flatMap((stream) => [
      ["XINFO", "STREAM", stream],
      ["XINFO", "GROUPS", stream],
      ["XINFO", "CONSUMERS", stream, group],
    ]),
  );
  const seen = streams.flatMap((stream, index) => {
    const [extent, groups, consumers] = replies.slice(index * 3, index * 3 + 3);
    // A stream that vanishes between the commands is left for the next round.
    if (isMissing(extent) || isMissing(groups)) return [];
    return [
      { stream, extent: pairs(valueOf(extent)), groups: listOf(valueOf(groups)).map(pairs), consumers },
    ];
  });
  const pending = await readPending(redis, seen);
  return seen.map(({ stream, extent, groups, consumers }) => ({
    stream,
    length: Number(extent.get("length")),
    firstId: idOf(extent.get("first-entry")),
    lastId: String(extent.get("last-generated-id")),
    added: BigInt(String(extent.get("entries-added") ?? 0)),
    groups: groups.map((each) => ({
      name: String(each.get("name")),
      lastDeliveredId: String(each.get("last-delivered-id")),
      firstPendingId: pending.get(`${stream}\n${String(each.get("name"))}`),
    })),
    consumers: listOf(consumers).map((each) => String(pairs(each).get("name"))),
  }));
}

/**
 * The first pending id of each group that has any. Asked after the last delivered id: what is delivered and acknowledged in between
 * lies behind that id, so the lower of both never passes what a group still needs.
 */
async function readPending(
  redis: StreamRedis,
  seen: readonly { readonly stream: string; readonly groups: readonly ReadonlyMap<string, unknown>[] }[],
): Promise<ReadonlyMap<string, string>> {
  const places = seen.flatMap(({ stream, groups }) =>
    groups
      .filter((group) => Number(group.get("pending")) > 0)
      .map((group) => ({ stream, group: String(group.get("name")) })),
  );
  const replies = await ask(
    redis,
    places.map(({ stream, group }) => ["XPENDING", stream, group]),
  );
  const first = new Map<string, string>();
  for (const [index, { stream, group }] of places.entries()) {
    const [, id] = listOf(valueOf(replies[index]));
    if (typeof id === "string") first.set(`${stream}\n${group}`, id);
  }
  return first;
}
