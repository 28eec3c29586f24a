import { join } from "node:path";
import { Redis, type ChainableCommander } from "ioredis";
import { expect, inject, it } from "vitest";
import { startRedis, type RedisServer } from "../../demo/local/redis-server.ts";
import { createTempFolder } from "../../demo/local/temp-folder.ts";
import { BufferPool } from "../../src/source/buffer-pool.ts";
import { ShardReader } from "../../src/source/shard-reader.ts";
import { numberedEntries } from "../support/entries.ts";
import { createScene, holdBatches, range, type Scene } from "../support/scene.ts";
import { createStreamPrefix } from "../support/stream-prefix.ts";

const group = "sluice";

/** A Redis that a test may restart and empty. */
async function startOwnRedis(): Promise<RedisServer & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(createTempFolder("sluice-redis-"));
  const server = await startRedis({ folder: join(folder.path, "redis") });
  stack.defer(() => server.stop());
  const started = stack.move();
  return { ...server, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

/** With ids `1-1`, `1-2`, …, far below those that Redis makes. */
function addLow(commands: ChainableCommander, stream: string, from: number, to: number): void {
  const entries = range(from, to).flatMap((number) => numberedEntries(stream, number));
  for (const [index, fields] of entries.entries()) commands.xadd(stream, `1-${index + 1}`, ...fields);
}

function addHigh(commands: ChainableCommander, stream: string, from: number, to: number): void {
  const entries = range(from, to).flatMap((number) => numberedEntries(stream, number));
  for (const fields of entries) commands.xadd(stream, "*", ...fields);
}

/** All numbers are applied once, in order, and the shard counts what this stream has held. */
async function expectFollowed(scene: Scene, last: number): Promise<void> {
  await expect.poll(() => scene.history(), { timeout: 10_000, interval: 20 }).toEqual(range(1, last));
  const facts = (await scene.redis.xinfo("STREAM", scene.stream)) as unknown[];
  const [lastId, added] = ["last-generated-id", "entries-added"].map(
    (name) => facts[facts.indexOf(name) + 1],
  );
  await expect
    .poll(() => scene.shard())
    .toMatchObject({ checkpoint: lastId, changes: 2 * last, entries: added, state: "running", error: null });
}

it("goes on from its place when Redis restarts with its data", async () => {
  await using server = await startOwnRedis();
  await using scene = await createScene({ redisUrl: server.url });
  await using member = await scene.startMember();
  await scene.append(1, 50);
  await scene.expectAppliedOnce(50);
  await server.restart();
  await scene.append(51, 100);
  await scene.expectAppliedOnce(100);
  await server.kill();
  await expect.poll(() => member.seen.codes.at(-1)).toBe("REDIS_UNAVAILABLE");
  await server.restart();
  await scene.append(101, 150);
  await scene.expectAppliedOnce(150);
});

const anew: readonly [what: string, add: typeof addLow][] = [
  ["lower ids", addLow],
  ["higher ids", addHigh],
];

it.each(anew)("follows a Redis that came back empty and goes on with %s", async (_, add) => {
  await using server = await startOwnRedis();
  await using scene = await createScene({ redisUrl: server.url });
  await using _member = await scene.startMember();
  await scene.append(1, 50);
  await scene.expectAppliedOnce(50);
  const step = scene.redis.multi();
  step.flushall();
  add(step, scene.stream, 51, 60);
  await step.exec();
  await expectFollowed(scene, 60);
  await scene.redis.flushall();
  await scene.append(61, 70);
  await expectFollowed(scene, 70);
});

it.each(anew)(
  "follows a stream that was deleted and made anew with %s while the member was down",
  async (_, add) => {
    await using scene = await createScene();
    {
      await using _member = await scene.startMember();
      await scene.append(1, 50);
      await scene.expectAppliedOnce(50);
    }
    const step = scene.redis.multi().del(scene.stream);
    add(step, scene.stream, 51, 60);
    await step.exec();
    await using _member = await scene.startMember();
    await expectFollowed(scene, 60);
  },
);

it("skips nothing of a stream that was made anew below the checkpoint and has passed it since", async () => {
  await using scene = await createScene();
  {
    await using _member = await scene.startMember();
    await scene.append(1, 50);
    await scene.expectAppliedOnce(50);
  }
  const step = scene.redis.multi().del(scene.stream);
  addLow(step, scene.stream, 51, 60);
  addHigh(step, scene.stream, 61, 65);
  await step.exec();
  await using _member = await scene.startMember();
  await expectFollowed(scene, 65);
});

it("goes on when its stream is deleted while it waits, and when there is none yet", async () => {
  await using scene = await createScene();
  await using _member = await scene.startMember();
  await scene.append(1, 20);
  await scene.expectAppliedOnce(20);
  await scene.redis.del(scene.stream);
  // The member makes the stream again, empty, with its group.
  await expect.poll(() => scene.redis.exists(scene.stream), { timeout: 10_000 }).toBe(1);
  await scene.append(21, 40);
  await expectFollowed(scene, 40);
});

it("stops a shard with STREAM_GAP when entries were trimmed before they were applied; the others go on", async () => {
  await using scene = await createScene({ shards: 2 });
  const [gapped = "", whole = ""] = scene.streams;
  {
    await using _member = await scene.startMember();
    for (const stream of scene.streams) await scene.append(1, 10, stream);
    for (const stream of scene.streams) await scene.expectAppliedOnce(10, stream);
  }
  const { checkpoint } = await scene.shard(gapped);
  for (const stream of scene.streams) await scene.append(11, 20, stream);
  await scene.redis.xtrim(gapped, "MAXLEN", 10);
  await using member = await scene.startMember();
  await expect
    .poll(() => scene.shard(gapped), { timeout: 10_000 })
    .toMatchObject({ state: "stopped", error: "STREAM_GAP" });
  await scene.expectAppliedOnce(20, whole);
  await scene.append(21, 30, whole);
  await scene.expectAppliedOnce(30, whole);
  expect(member.seen.codes).toContain("STREAM_GAP");
  expect(await scene.shard(gapped)).toMatchObject({ checkpoint, entries: 20, owner: "member" });
  expect(await scene.history(gapped)).toEqual(range(1, 10));
});

it("stops with STREAM_GAP also when entries that it has not read yet are trimmed while it runs (I8)", async () => {
  await using scene = await createScene({ config: { batchEntries: 10 } });
  await using _member = await scene.startMember();
  await scene.append(1, 10);
  await scene.expectAppliedOnce(10);
  {
    await using batch = await holdBatches(scene.db);
    await scene.append(11, 100);
    await batch.waiting();
    await scene.redis.xtrim(scene.stream, "MAXLEN", 20);
  }
  await expect
    .poll(() => scene.shard(), { timeout: 10_000 })
    .toMatchObject({ state: "stopped", error: "STREAM_GAP" });
  const history = await scene.history();
  expect(history).toEqual(range(1, history.length));
  expect(history.length).toBeLessThan(90);
});

it.each([100, 20_000])(
  "stops with STREAM_GAP behind an entry of %i bytes that was trimmed with those after it (I8)",
  async (bytes) => {
    await using scene = await createScene();
    await using _member = await scene.startMember();
    await scene.append(1, 10);
    const [fields = []] = numberedEntries(scene.stream, 11);
    const padded = fields.map((field) =>
      field.replace('"before":null', `"before":{"pad":"${"x".repeat(bytes)}"}`),
    );
    const last = await scene.redis.xadd(scene.stream, "*", ...padded);
    await expect.poll(() => scene.shard()).toMatchObject({ checkpoint: last });
    const step = scene.redis.multi();
    addHigh(step, scene.stream, 12, 21);
    await step.xtrim(scene.stream, "MAXLEN", 10).exec();
    await expect
      .poll(() => scene.shard(), { timeout: 10_000 })
      .toMatchObject({ state: "stopped", error: "STREAM_GAP", checkpoint: last });
    expect(await scene.history()).toEqual(range(1, 11));
  },
);

it.each([undefined, "10-0"])(
  "does not give out what follows a gap that came between the look and the first read after %s",
  async (id) => {
    await using prefix = createStreamPrefix(inject("redisUrl"));
    const [stream = ""] = prefix.streams(1);
    const redis = new Redis(inject("redisUrl"));
    using _redis = { [Symbol.dispose]: () => redis.disconnect() };
    const add = (from: number, to: number) =>
      Promise.all(range(from, to).map((number) => redis.xadd(stream, `${number}-0`, "value", "x")));
    await add(1, 10);
    const options = { stream, group, member: "member", maxEntries: 100, targetBytes: 10_000, blockMs: 10 };
    const reader = await ShardReader.open({
      url: inject("redisUrl"),
      ...options,
      buffers: new BufferPool(1),
    });
    using _reader = { [Symbol.dispose]: () => reader.close() };
    await reader.rewind({ id, entries: id === undefined ? 0n : 10n });
    await add(11, 20);
    await redis.xtrim(stream, "MAXLEN", 5);
    await expect(reader.read({ wait: true })).rejects.toThrow("lost entries after");
  },
);

it("goes on after everything that was applied, and nothing else, was trimmed", async () => {
  await using scene = await createScene();
  {
    await using _member = await scene.startMember();
    await scene.append(1, 10);
    await scene.expectAppliedOnce(10);
    await scene.redis.xtrim(scene.stream, "MAXLEN", 0);
    await scene.append(11, 20);
    await scene.expectAppliedOnce(20);
  }
  await scene.redis.xtrim(scene.stream, "MAXLEN", 0);
  await scene.redis.xgroup("DESTROY", scene.stream, group);
  await scene.append(21, 30);
  await using _member = await scene.startMember();
  await scene.expectAppliedOnce(30);
});
