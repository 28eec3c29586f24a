import { expect, inject, it } from "vitest";
import { createScene, holdBatches, range, type Scene } from "../support/scene.ts";
import { startSluice, type SluiceProcess } from "../support/sluice-process.ts";

const group = "sluice";

async function startProcess(scene: Scene): Promise<SluiceProcess> {
  const sluice = await startSluice({
    SLUICE_REDIS_URL: inject("redisUrl"),
    SLUICE_DATABASE_URL: scene.db.url,
    SLUICE_STREAMS: scene.streams.join(","),
    SLUICE_MEMBER: "member",
    SLUICE_BATCH_ENTRIES: "20",
  });
  await sluice.waitReady();
  return sluice;
}

/** What Redis knows of the group's readers is what the checkpoint says, and nobody is registered anywhere. */
async function expectNothingLeft(scene: Scene): Promise<void> {
  expect(await scene.db.query("SELECT name FROM sluice.member")).toEqual([]);
  for (const stream of scene.streams) {
    const shard = await scene.shard(stream);
    expect(shard).toMatchObject({ owner: null, leased: false, state: "free", error: null });
    const [pending] = (await scene.redis.xpending(stream, group)) as [number];
    expect(pending).toBe(0);
    expect(await scene.redis.xinfo("CONSUMERS", stream, group)).toEqual([]);
    const [facts = []] = (await scene.redis.xinfo("GROUPS", stream)) as unknown[][];
    expect(facts[facts.indexOf("last-delivered-id") + 1]).toBe(shard.checkpoint ?? "0-0");
  }
}

/** Exactly the entries up to the checkpoint are applied. Returns the last number. */
async function expectAppliedToCheckpoint(scene: Scene, stream: string): Promise<number> {
  const shard = await scene.shard(stream);
  const upTo = shard.checkpoint === null ? [] : await scene.redis.xrange(stream, "-", shard.checkpoint);
  expect(shard).toMatchObject({ entries: upTo.length, changes: upTo.length });
  const last = Math.ceil(upTo.length / 2);
  expect(await scene.history(stream)).toEqual(range(1, last));
  return last;
}

/** Adds changes to all shards until it is aborted. Resolves with the last number. */
async function load(scene: Scene, stopping: AbortSignal): Promise<number> {
  let last = 0;
  while (!stopping.aborted) {
    for (const stream of scene.streams) await scene.append(last + 1, last + 50, stream);
    last += 50;
  }
  return last;
}

it("drains under load on SIGTERM: exit 0, nothing pending, no consumer, no lease, no member; goes on where it stood", async () => {
  await using scene = await createScene({ shards: 3 });
  await using sluice = await startProcess(scene);
  const loading = new AbortController();
  const loaded = load(scene, loading.signal);
  await expect.poll(async () => (await scene.history()).length, { timeout: 20_000 }).toBeGreaterThan(200);
  const exit = sluice.stop();
  expect(await exit).toMatchObject({ code: 0, signal: null });
  await expectNothingLeft(scene);
  for (const stream of scene.streams) await expectAppliedToCheckpoint(scene, stream);
  loading.abort();
  const last = await loaded;
  await using _next = await scene.startMember();
  for (const stream of scene.streams) await scene.expectAppliedOnce(last, stream);
});

it("finishes the batch at hand before it drains, and gives back what it had read ahead", async () => {
  await using scene = await createScene();
  await using sluice = await startProcess(scene);
  let exit: ReturnType<SluiceProcess["stop"]>;
  {
    await using batch = await holdBatches(scene.db);
    await scene.append(1, 200);
    await batch.waiting();
    exit = sluice.stop();
    await expect.poll(() => sluice.log()).toContain('"draining"');
  }
  expect(await exit).toMatchObject({ code: 0 });
  await expectNothingLeft(scene);
  const last = await expectAppliedToCheckpoint(scene, scene.stream);
  expect(last).toBeGreaterThan(0);
  expect(last).toBeLessThan(200);
});

it("drains while it is idle without waiting for its read to end", async () => {
  await using scene = await createScene({ shards: 2, config: { readBlockMs: 60_000 } });
  await using member = await scene.startMember();
  await scene.append(1, 10);
  await scene.expectAppliedOnce(10);
  await member.pipeline.drain();
  await expectNothingLeft(scene);
});
