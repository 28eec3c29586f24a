import type { Redis } from "ioredis";

const page = 1_000;

/** How many entries the stream has from `from` (`(` before it: after it) to `to`. Redis cannot tell, so they are read in pages. */
export async function countEntries(
  redis: Redis,
  { stream, from, to }: { readonly stream: string; readonly from: string; readonly to: string },
): Promise<bigint> {
  let count = 0n;
  for (let start = from; ;) {
    const entries = await redis.xrange(stream, start, to, "COUNT", page);
    count += BigInt(entries.length);
    const last = entries.at(-1)?.[0];
    if (last === undefined || entries.length < page) return count;
    start = `(${last}`;
  }
}

/** The last entry of the stream before this id; undefined: none is left. */
export async function lastEntryBefore(redis: Redis, stream: string, id: string): Promise<string | undefined> {
  const [entry] = await redis.xrevrange(stream, `(${id}`, "-", "COUNT", 1);
  return entry?.[0];
}

/** The first entry of the stream after this id; undefined: there is none. */
export async function firstEntryAfter(redis: Redis, stream: string, id: string): Promise<string | undefined> {
  const [entry] = await redis.xrange(stream, `(${id}`, "+", "COUNT", 1);
  return entry?.[0];
}

/** The highest id that an entry before this one can have. */
export function entryIdBefore(id: string): string {
  const [milliseconds = "0", sequence = "0"] = id.split("-");
  return BigInt(sequence) > 0n
    ? `${milliseconds}-${BigInt(sequence) - 1n}`
    : `${BigInt(milliseconds) - 1n}-${2n ** 64n - 1n}`;
}
