import type { Redis } from "ioredis";
import { entriesOf, type Entries } from "../decode/entries.ts";

const page = 100;

/** The stream's entries from `from` on, inclusive, the newest first, each by itself. */
export async function* entriesBackwards(redis: Redis, stream: string, from: string): AsyncGenerator<Entries> {
  for (let start = from; ;) {
    const found = await redis.xrevrangeBuffer(stream, start, "-", "COUNT", page);
    for (const [id, fields] of found) yield entriesOf([{ id: id.toString("latin1"), fields }]);
    const last = found.at(-1)?.[0].toString("latin1");
    if (last === undefined || found.length < page) return;
    start = `(${last}`;
  }
}
