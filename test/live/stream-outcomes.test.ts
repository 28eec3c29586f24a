import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Redis, type ChainableCommander } from "ioredis";
import { expect, inject, it, vi } from "vitest";
import { startRedis, type RedisServer } from "../../demo/local/redis-server.ts";
import { createTempFolder } from "../../demo/local/temp-folder.ts";
import { accept } from "../../src/cli/accept.ts";
import { check } from "../../src/cli/check.ts";
import { SluiceError } from "../../src/errors/sluice-error.ts";
import type { Warning } from "../../src/observe/progress.ts";
import { ownShard, type ShardSessionOptions } from "../../src/pipeline/shard-session.ts";
import { collectStatus } from "../../src/pipeline/status.ts";
import { BufferPool } from "../../src/source/buffer-pool.ts";
import { ReadTurns } from "../../src/source/read-turns.ts";
import { ShardReader } from "../../src/source/shard-reader.ts";
import { numberedEntries } from "../support/entries.ts";
import { quietProgress } from "../support/member.ts";
import { createScene, holdBatches, range, type Scene } from "../support/scene.ts";
import { createStreamPrefix } from "../support/stream-prefix.ts";

const group = "sluice";

interface OwnRedis extends RedisServer, AsyncDisposable {
  /** Keeps a copy of its data as they are now. */
  keepCopy(): void;
  /** Kills it and starts it on the copy, as after a restore or a fail-over to a stale replica. */
  restartOnCopy(): Promise<void>;
}

/** A Redis that a test may restart and empty. */
async function startOwnRedis(): Promise<OwnRedis> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(createTempFolder("sluice-redis-"));
  const [data, copy] = [join(folder.path, "redis"), join(folder.path, "copy")];
  const server = await startRedis({ folder: data });
  stack.defer(() => server.stop());
  const started = stack.move();
  return {
    ...server,
    keepCopy: () => cpSync(data, copy, { recursive: true }),
    async restartOnCopy() {
      await server.kill();
      rmSync(data, { recursive: true });
      cpSync(copy, data, { recursive: true });
      await server.restart();
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** As `sluice accept gap` does it; gives what it printed. */
async function acceptGap(scene: Scene): Promise<string> {
  let out = "";
  const io = { out: (text: string) => void (out += text), err: () => undefined, env: {} };
  expect(await accept(scene.config, io, { kind: "gap", stream: scene.stream }, false)).toBe(0);
  return out;
}

/** As `sluice check` tells it. */
async function checked(scene: Scene): Promise<{ readonly code: number; readonly findings: unknown[] }> {
  let out = "";
  const io = { out: (text: string) => void (out += text), err: () => undefined, env: {} };
  const code = await check(scene.config, io, true);
  return { code, findings: (JSON.parse(out) as { findings: unknown[] }).findings };
}

async function expectGap(scene: Scene): Promise<void> {
  await expect
    .poll(() => scene.shard(), { timeout: 15_000 })
    .toMatchObject({ state: "stopped", error: "STREAM_GAP" });
}

async function warnings(scene: Scene): Promise<readonly Warning[]> {
  return (await collectStatus(scene.config, scene.db.pool, scene.redis)).warnings;
}

/** The numbers, once each: what an older Redis still held is applied again, and a table without a key has it twice then. */
async function applied(scene: Scene): Promise<number[]> {
  return [...new Set(await scene.history())].toSorted((left, right) => left - right);
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
  const { code, findings } = await checked(scene);
  expect(code).toBe(3);
  const what: unknown = expect.stringMatching(`SHARD_STOPPED: ${gapped} is stopped: STREAM_GAP`);
  expect(findings).toContainEqual(expect.objectContaining({ level: "fail", what }));
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
      turns: new ReadTurns(),
    });
    using _reader = { [Symbol.dispose]: () => reader.close() };
    await reader.rewind({ id, entries: id === undefined ? 0n : 10n });
    await add(11, 20);
    await redis.xtrim(stream, "MAXLEN", 5);
    await expect(reader.read({ wait: true })).rejects.toThrow("lost entries after");
  },
);

it("no gap is told by a member that was frozen while another one applied and trimmed", async () => {
  await using scene = await createScene();
  const { stream, config, redis } = scene;
  await scene.append(1, 10);
  await redis.xtrim(stream, "MAXLEN", 5);
  const codes: string[] = [];
  const lost = new SluiceError("LEASE_LOST", "held elsewhere");
  const start = {
    id: undefined,
    entries: 0n,
    position: 0n,
    snapshotPosition: 0n,
    commitLsn: 0,
    committedAtMs: 0,
  };
  // The first answer is from before, the second from after it was frozen.
  const checkpoint = vi.fn().mockResolvedValueOnce(start).mockRejectedValueOnce(lost);
  const shards = { checkpoint, setState: () => Promise.resolve() };
  const options = {
    ...{ config, shards, buffers: new BufferPool(1), share: () => 1, reading: () => undefined },
    records: { seen: () => Promise.resolve(undefined) },
    progress: {
      ...quietProgress,
      shardState: (_stream: string, _state: string, error?: SluiceError) =>
        void codes.push(error?.code ?? ""),
    },
  } as unknown as ShardSessionOptions;
  const owning = ownShard(options, { stream, epoch: "1", generation: 1 }, AbortSignal.timeout(10_000));
  await expect(owning).rejects.toBe(lost);
  expect(codes).toEqual([]);
  expect(checkpoint).toHaveBeenCalledTimes(2);
});

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

it("begins a stream of an older append-only file anew, guarded, and warns of it", async () => {
  await using server = await startOwnRedis();
  await using scene = await createScene({ redisUrl: server.url });
  await using _member = await scene.startMember();
  await scene.append(1, 50);
  await scene.expectAppliedOnce(50);
  server.keepCopy();
  await scene.append(51, 100);
  await scene.expectAppliedOnce(100);
  await server.restartOnCopy();
  await scene.append(101, 120);
  await expect.poll(() => applied(scene), { timeout: 15_000 }).toEqual(range(1, 120));
  const items = await scene.db.query<{ number: number }>("SELECT number FROM item ORDER BY number");
  expect(items.map(({ number }) => number)).toEqual(range(114, 120));
  await expect.poll(() => scene.shard()).toMatchObject({ state: "running", entries: 140, error: null });
  expect(await warnings(scene)).toContainEqual(
    expect.objectContaining({ code: "STREAM_BEGUN_ANEW", stream: scene.stream }),
  );
});

it.each(["before the checkpoint", "behind the checkpoint"])(
  "stops with STREAM_GAP when an older append-only file that ends %s lacks entries that were seen and not applied; goes on once accepted",
  async (where) => {
    await using server = await startOwnRedis();
    await using scene = await createScene({ redisUrl: server.url });
    const owned = { member: "member", maintenanceIntervalMs: 100 };
    await using _member = await scene.startMember(owned);
    await scene.append(1, 50);
    await scene.expectAppliedOnce(50);
    if (where === "before the checkpoint") server.keepCopy();
    await scene.append(51, 60);
    await scene.expectAppliedOnce(60);
    if (where === "behind the checkpoint") server.keepCopy();
    {
      await using batch = await holdBatches(scene.db);
      const last = await scene.append(61, 70);
      await batch.waiting();
      const seen = "SELECT FROM sluice.stream_record WHERE last_id = $1";
      await expect.poll(() => scene.db.query(seen, [last])).toHaveLength(1);
      await server.restartOnCopy();
      // The batch is lost with its session, as the member's death would do it.
      await scene.db.query("SELECT pg_terminate_backend($1)", [await batch.waiting()]);
    }
    await expectGap(scene);
    await scene.append(71, 80);
    expect(await warnings(scene)).toContainEqual(
      expect.objectContaining({ code: "SHARD_STOPPED", stream: scene.stream }),
    );
    expect(await acceptGap(scene)).toContain(`entries of ${scene.stream}`);
    await expect.poll(() => applied(scene), { timeout: 15_000 }).toEqual([...range(1, 60), ...range(71, 80)]);
    await expect.poll(() => scene.shard()).toMatchObject({ state: "running", error: null });
  },
);

it("stops with STREAM_GAP before its first start on a stream that was trimmed, until that is accepted", async () => {
  await using scene = await createScene();
  await scene.append(1, 20);
  await scene.redis.xtrim(scene.stream, "MAXLEN", 20);
  await using _member = await scene.startMember();
  await expectGap(scene);
  expect(await scene.history()).toEqual([]);
  expect(await acceptGap(scene)).toContain("20 entries");
  await expect.poll(() => scene.history(), { timeout: 10_000 }).toEqual(range(11, 20));
  expect(await scene.shard()).toMatchObject({ entries: 40, changes: 20 });
});

it("stops with STREAM_GAP when a stream that was made anew was trimmed before it was looked at", async () => {
  await using scene = await createScene();
  {
    await using _member = await scene.startMember();
    await scene.append(1, 50);
    await scene.expectAppliedOnce(50);
  }
  const step = scene.redis.multi().del(scene.stream);
  addHigh(step, scene.stream, 51, 70);
  await step.xtrim(scene.stream, "MAXLEN", 20).exec();
  await using _member = await scene.startMember();
  await expectGap(scene);
  expect(await acceptGap(scene)).toContain("an unknown number of entries");
  const rest = [...range(1, 50), ...range(61, 70)];
  await expect.poll(() => scene.history(), { timeout: 10_000 }).toEqual(rest);
});

it("removes the consumers of members that are gone also from a shard that a gap has stopped", async () => {
  await using scene = await createScene();
  await scene.append(1, 20);
  const { redis, stream } = scene;
  await redis.xgroup("CREATE", stream, group, "0");
  await redis.xreadgroup("GROUP", group, "gone", "COUNT", 5, "STREAMS", stream, ">");
  await redis.xtrim(stream, "MAXLEN", 20);
  await using _member = await scene.startMember();
  await expectGap(scene);
  const names = async () =>
    ((await redis.xinfo("CONSUMERS", stream, group)) as string[][]).map(([, name]) => name);
  await expect.poll(names).not.toContain("gone");
});

it("tells which entries were deleted from the stream while a dead consumer held them", async () => {
  await using scene = await createScene();
  const { redis, stream } = scene;
  {
    await using _member = await scene.startMember();
    await scene.append(1, 5);
    await scene.expectAppliedOnce(5);
  }
  await scene.append(6, 10);
  await redis.xreadgroup("GROUP", group, "gone", "COUNT", 6, "STREAMS", stream, ">");
  const entries = await redis.xrange(stream, "-", "+");
  const [deleted = "", kept = ""] = [entries[14]?.[0], entries[12]?.[0]];
  await redis.xdel(stream, deleted);
  await using member = await scene.startMember();
  await expect.poll(() => scene.shard(), { timeout: 10_000 }).toMatchObject({ changes: 19 });
  const told = member.seen.reasons.filter((reason) =>
    reason.includes("deleted from the stream while pending"),
  );
  expect(told).toHaveLength(1);
  expect(told[0]).toContain(deleted);
  expect(told[0]).not.toContain(kept);
  expect(member.seen.reclaimed).toBe(6);
});
