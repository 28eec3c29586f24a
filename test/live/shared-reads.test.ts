import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { expect, inject, it, vi } from "vitest";
import type { Entries } from "../../src/decode/entries.ts";
import { BufferPool } from "../../src/source/buffer-pool.ts";
import { ShardReader } from "../../src/source/shard-reader.ts";
import { SharedReads } from "../../src/source/shared-reads.ts";
import { createScene, range } from "../support/scene.ts";
import { createStreamPrefix } from "../support/stream-prefix.ts";

const group = "sluice";

interface Shard {
  readonly stream: string;
  readonly reader: ShardReader;
}

interface Shards extends AsyncDisposable {
  readonly redis: Redis;
  readonly shards: readonly Shard[];
  readonly name: string;
  /** As many entries to each stream, numbered on from the last one's. */
  append(count?: number): Promise<void>;
  /** All read at the same moment and settle what they got. */
  readAll(): Promise<readonly Entries[]>;
  /** Appends and reads until all shards were read by one exchange. */
  readAllTogether(): Promise<void>;
  /** Does something as if no time had passed since: none of the shards is due to read for itself. */
  atOnce<T>(work: () => Promise<T>): Promise<T>;
}

async function openShards(count: number, mostBytes = 1e6): Promise<Shards> {
  await using stack = new AsyncDisposableStack();
  const prefix = stack.use(createStreamPrefix(inject("redisUrl")));
  const redis = new Redis(inject("redisUrl"));
  stack.defer(() => redis.disconnect());
  const [url, name, buffers] = [inject("redisUrl"), `${prefix.prefix}shared`, new BufferPool(1)];
  const together = new SharedReads({ url, name, buffers, mostEntries: 1000, mostBytes: () => mostBytes });
  stack.defer(() => together.close());
  const options = { url, group, member: "member", maxEntries: 1000, targetBytes: 1e6, blockMs: 100 };
  const shards: Shard[] = [];
  for (const stream of prefix.streams(count)) {
    const reader = await ShardReader.open({ ...options, stream, buffers, together });
    stack.defer(() => reader.close());
    await reader.rewind({ id: undefined, entries: 0n });
    shards.push({ stream, reader });
  }
  let last = 0;
  const append = async (more = 3): Promise<void> => {
    for (const number of range(last + 1, last + more))
      await Promise.all(shards.map(({ stream }) => redis.xadd(stream, `${number}-0`, "value", stream)));
    last += more;
  };
  const readAll = (): Promise<readonly Entries[]> =>
    Promise.all(
      shards.map(async ({ reader }) => {
        const entries = await reader.read({ wait: true });
        reader.settle(entries);
        return entries;
      }),
    );
  let togetherAt = 0;
  const readAllTogether = async (): Promise<void> => {
    await expect
      .poll(
        async () => {
          await append();
          togetherAt = performance.now();
          return areTogether(await readAll());
        },
        { timeout: 10_000, interval: 50 },
      )
      .toBe(true);
  };
  const atOnce = async <T>(work: () => Promise<T>): Promise<T> => {
    const clock = vi.spyOn(performance, "now").mockReturnValue(togetherAt);
    return await work().finally(() => clock.mockRestore());
  };
  const opened = stack.move();
  return {
    ...{ redis, shards, name, append, readAll, readAllTogether, atOnce },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** One reply had the entries of all. */
function areTogether(reads: readonly Entries[]): boolean {
  return new Set(reads.map(({ buffer }) => buffer)).size === 1 && reads.every(({ length }) => length > 0);
}

function idsOf(entries: Entries): string[] {
  return Array.from({ length: entries.length }, (_, index) => entries.idOf(index));
}

function ids(from: number, to: number): string[] {
  return range(from, to).map((number) => `${number}-0`);
}

it("reads shards that ask at the same moment by one exchange, each its own entries, and tells their groups", async () => {
  await using opened = await openShards(3);
  const { redis, shards, append, readAll, readAllTogether, atOnce } = opened;
  await readAllTogether();
  const last = await redis.xlen(shards[0]?.stream ?? "");
  await append(5);
  const reads = await atOnce(readAll);
  expect(areTogether(reads)).toBe(true);
  for (const entries of reads) expect(idsOf(entries)).toEqual(ids(last + 1, last + 5));
  for (const [index, { stream }] of shards.entries()) {
    const entries = reads[index];
    expect(entries?.buffer.toString("latin1", entries.startOf(0, 1), entries.endOf(0, 1))).toBe(stream);
  }
  await append(1);
  await readAll();
  // What was settled is told with the next read.
  for (const { stream } of shards) {
    const [info = []] = (await redis.xinfo("GROUPS", stream)) as unknown[][];
    expect(info).toEqual(expect.arrayContaining(["last-delivered-id", `${last + 5}-0`]));
    expect(info).toEqual(expect.arrayContaining(["entries-read", last + 5]));
  }
});

it("lets a shard find out for itself what is wrong with its stream, while the others get their entries", async () => {
  await using opened = await openShards(4);
  const { redis, shards, append, readAllTogether, atOnce } = opened;
  await readAllTogether();
  await append(40);
  const [gone, trimmed, ...sound] = shards;
  await redis.xgroup("DESTROY", gone?.stream ?? "", group);
  await redis.xtrim(trimmed?.stream ?? "", "MAXLEN", 5);
  const [first, second, ...others] = await atOnce(() =>
    Promise.allSettled(shards.map(({ reader }) => reader.read({ wait: true }))),
  );
  expect(first).toMatchObject({ status: "rejected", reason: { code: "REDIS_REPLY" } });
  expect(second).toMatchObject({ reason: { message: expect.stringContaining("lost entries after") } });
  const buffers = others.map((read) => (read.status === "fulfilled" ? read.value.buffer : read.reason));
  expect(new Set(buffers).size).toBe(1);
  expect(others.map((read) => read.status === "fulfilled" && read.value.length)).toEqual(sound.map(() => 40));
});

it("a stream that is no stream any more keeps nobody else from reading", async () => {
  await using opened = await openShards(3);
  const { redis, shards, append, readAllTogether, atOnce } = opened;
  await readAllTogether();
  await append(4);
  await redis.set(shards[0]?.stream ?? "", "text");
  const [first, ...others] = await atOnce(() =>
    Promise.allSettled(shards.map(({ reader }) => reader.read({ wait: true }))),
  );
  expect(first).toMatchObject({ status: "rejected", reason: { code: "REDIS_REPLY" } });
  for (const read of others) expect(read).toMatchObject({ status: "fulfilled", value: { length: 4 } });
});

it("shards read for themselves while the shared connection is gone, and together again later", async () => {
  await using opened = await openShards(2);
  const { redis, name, append, readAll, readAllTogether } = opened;
  await readAllTogether();
  await killNamed(redis, name);
  await append(3);
  for (const entries of await readAll()) expect(entries.length).toBeGreaterThanOrEqual(3);
  await append(3);
  expect(areTogether(await readAll())).toBe(false);
  await readAllTogether();
});

async function killNamed(redis: Redis, name: string): Promise<number> {
  const list = String(await redis.client("LIST"));
  const found = list.split("\n").filter((line) => line.includes(` name=${name} `));
  for (const line of found) await redis.client("KILL", "ID", /^id=(\d+)/.exec(line)?.[1] ?? "");
  return found.length;
}

it("a reply beyond its limit is given up, and shards read for themselves (I9)", async () => {
  await using opened = await openShards(2, 300);
  const { append, readAll, name, redis } = opened;
  let last = 0;
  const isConnected = async (): Promise<boolean> =>
    String(await redis.client("LIST")).includes(` name=${name} `);
  await expect
    .poll(
      async () => {
        await append(3);
        last += 3;
        for (const entries of await readAll()) expect(entries.lastId).toBe(`${last}-0`);
        return await isConnected();
      },
      { timeout: 10_000, interval: 1 },
    )
    .toBe(true);
  await append(3);
  const reads = await readAll();
  expect(areTogether(reads)).toBe(false);
  for (const entries of reads) expect(idsOf(entries)).toEqual(ids(last + 1, last + 3));
  await expect.poll(isConnected).toBe(false);
});

it("a shard of large entries reads for itself, and those beside it together", async () => {
  await using opened = await openShards(3);
  const { redis, shards, readAll, readAllTogether, atOnce } = opened;
  await readAllTogether();
  const last = await redis.xlen(shards[0]?.stream ?? "");
  for (const [index, { stream }] of shards.entries())
    await redis.xadd(stream, `${last + 1}-0`, "value", "x".repeat(index === 0 ? 20_000 : 10));
  await atOnce(readAll);
  for (const { stream } of shards) await redis.xadd(stream, `${last + 2}-0`, "value", "x");
  const [large, ...small] = await atOnce(readAll);
  expect(new Set(small.map(({ buffer }) => buffer)).size).toBe(1);
  expect(small[0]?.buffer).not.toBe(large?.buffer);
  expect([large, ...small].map((entries) => entries?.lastId)).toEqual(shards.map(() => `${last + 2}-0`));
});

it("gives each shard every entry once and in order, however reads are shared and connections lost (I3)", async () => {
  await using opened = await openShards(4);
  const { redis, shards, name, append } = opened;
  const seen = new Map<string, string[]>(shards.map(({ stream }) => [stream, []]));
  const rounds = 150;
  let [killed, shared] = [0, 0];
  let held: readonly { readonly reader: ShardReader; readonly entries: Entries; readonly found: string[] }[] =
    [];
  for (let round = 0; round < rounds; round++) {
    // Few enough for shards not to be behind; some reads find nothing.
    await append(round % 4);
    if (round % 50 === 49) killed += await killNamed(redis, name);
    // Sometimes one of them is late, and sometimes all are.
    const late = round % 5;
    const reads = await Promise.all(
      shards.map(async ({ stream, reader }, index) => {
        if (index === late) await sleep(1);
        const entries = await reader.read({ wait: round % 7 !== 0 });
        const found = idsOf(entries);
        seen.get(stream)?.push(...found);
        return { reader, entries, found };
      }),
    );
    const buffers = reads.map(({ entries }) => entries).filter(({ length }) => length > 0);
    if (new Set(buffers.map(({ buffer }) => buffer)).size < buffers.length) shared++;
    // What a shard holds for a while stays as it is, though others have given the same buffer back.
    for (const { reader, entries, found } of held) {
      expect(idsOf(entries)).toEqual(found);
      reader.settle(entries);
    }
    held = reads.slice(0, 1);
    for (const { reader, entries } of reads.slice(1)) reader.settle(entries);
  }
  for (const { reader, entries } of held) reader.settle(entries);
  const expected = ids(
    1,
    range(0, rounds - 1).reduce((sum, round) => sum + (round % 4), 0),
  );
  for (const { stream, reader } of shards) {
    for (;;) {
      const entries = await reader.read({ wait: false });
      if (entries.length === 0) break;
      seen.get(stream)?.push(...idsOf(entries));
      reader.settle(entries);
    }
    expect(seen.get(stream)).toEqual(expected);
  }
  expect(killed).toBeGreaterThan(0);
  expect(shared).toBeGreaterThan(5);
});

it("a member's shards that get entries all the time are read together, and applied once", async () => {
  await using scene = await createScene({ shards: 4 });
  const name = `member-${randomBytes(4).toString("hex")}`;
  await using _member = await scene.startMember({ member: name });
  let last = 0;
  const isShared = async (): Promise<boolean> =>
    String(await scene.redis.client("LIST")).includes(`name=sluice:${name}:shared `);
  await expect
    .poll(
      async () => {
        for (const stream of scene.streams) await scene.append(last + 1, last + 2, stream);
        last += 2;
        return await isShared();
      },
      { timeout: 20_000, interval: 1 },
    )
    .toBe(true);
  for (let round = 0; round < 20; round++) {
    for (const stream of scene.streams) await scene.append(last + 1, last + 2, stream);
    last += 2;
  }
  for (const stream of scene.streams) await scene.expectAppliedOnce(last, stream);
});
