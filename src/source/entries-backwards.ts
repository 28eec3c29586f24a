import type { Redis } from "ioredis";
import { entryOf, type Entry } from "../decode/entry.ts";

const page = 100;

/** The stream's entries from `from` on, inclusive, the newest first. */
export async function* entriesBackwards(redis: Redis, stream: string, from: string): AsyncGenerator<Entry> {
  for (let start = from; ;) {
    const found = await redis.xrevrangeBuffer(stream, start, "-", "COUNT", page);
    for (const [id, fields] of found) yield entryOf(id.toString("latin1"), fields);
    const last = found.at(-1)?.[0].toString("latin1");
    if (last === undefined || found.length < page) return;
    start = `(${last}`;
  }
}
