import { expect, it } from "vitest";
import { entryFields } from "../support/entries.ts";
import { lostCommit, startFaultProxy, type FaultProxy } from "../support/fault-proxy.ts";
import { createScene, holdBatches, type RunningMember, type Scene } from "../support/scene.ts";

/**
 * Batches of several shards wait until the first shard's transaction, which is held, has ended; those that then wait together share one.
 * `change` is done while they wait.
 */
async function together(
  change: (scene: Scene, proxy: FaultProxy) => Promise<unknown>,
  look: (scene: Scene, member: RunningMember) => Promise<void>,
): Promise<void> {
  await using scene = await createScene({ shards: 4, config: { databaseConnections: 1 } });
  await using proxy = await startFaultProxy(scene.db.url);
  await using member = await scene.startMember({ databaseUrl: proxy.url });
  const [first, ...others] = scene.streams;
  for (const stream of scene.streams)
    await expect.poll(() => scene.shard(stream)).toMatchObject({ leased: true, state: "running" });
  await using held = await holdBatches(scene.db);
  await scene.append(1, 1, first);
  await held.waiting();
  await change(scene, proxy);
  for (const stream of others) await scene.append(1, 1, stream);
  // What was read waits for its turn at once.
  await expect
    .poll(() => others.every((stream) => member.seen.read.has(stream)), { timeout: 10_000 })
    .toBe(true);
  await held.release();
  await scene.expectAppliedOnce(1, first);
  await look(scene, member);
}

/** The transactions that wrote the streams' rows. */
async function transactions(scene: Scene, streams: readonly string[]): Promise<readonly string[]> {
  const rows = await scene.db.query<{ xmin: string }>(
    `SELECT DISTINCT xmin::text FROM history WHERE shard = ANY ('{${streams.join(",")}}')`,
  );
  return rows.map(({ xmin }) => xmin);
}

it("shards that wait at the same time share a transaction", () =>
  together(
    () => Promise.resolve(),
    async (scene) => {
      const [first = "", ...others] = scene.streams;
      for (const stream of others) await scene.expectAppliedOnce(1, stream);
      const shared = await transactions(scene, others);
      expect(shared).toHaveLength(1);
      expect(await transactions(scene, [first])).not.toEqual(shared);
    },
  ));

it("a change that fails stops its own shard, at its entry, and no other", () =>
  together(
    async (scene) => {
      const [, , bad = ""] = scene.streams;
      const after = { shard: bad, number: "no number" };
      await scene.redis.xadd(bad, "*", ...entryFields({ op: "c", table: "history", after, position: 1 }));
    },
    async (scene, member) => {
      const [, second = "", bad = "", fourth = ""] = scene.streams;
      for (const stream of [second, fourth]) await scene.expectAppliedOnce(1, stream);
      await expect
        .poll(() => scene.shard(bad), { timeout: 10_000 })
        .toMatchObject({ state: "stopped", error: "VALUE_INVALID", checkpoint: null });
      expect(await transactions(scene, [second])).not.toEqual(await transactions(scene, [fourth]));
      expect(member.seen.codes).toEqual(["VALUE_INVALID"]);
      expect(await scene.history(bad)).toEqual([]);
    },
  ));

it("a table that is missing stops its own shard while the others go on together", () =>
  together(
    async (scene) => {
      const [, , bad = ""] = scene.streams;
      const after = { shard: bad, number: 1 };
      await scene.redis.xadd(bad, "*", ...entryFields({ op: "c", table: "nowhere", after, position: 1 }));
    },
    async (scene, member) => {
      const [, second = "", bad = "", fourth = ""] = scene.streams;
      for (const stream of [second, fourth]) await scene.expectAppliedOnce(1, stream);
      expect(await transactions(scene, [second, fourth])).toHaveLength(1);
      await expect.poll(() => scene.shard(bad)).toMatchObject({ state: "stopped", error: "TABLE_MISSING" });
      expect(member.seen.codes).toEqual(["TABLE_MISSING"]);
    },
  ));

it("a shard that was lost writes nothing, and the others go on (I2)", () =>
  together(
    (scene) =>
      scene.db.query(
        `UPDATE sluice.shard SET epoch = epoch + 1, owner = 'other', lease_until = now() + interval '8 s'
         WHERE stream = '${scene.streams[2] ?? ""}'`,
      ),
    async (scene) => {
      const [, second = "", lost = "", fourth = ""] = scene.streams;
      for (const stream of [second, fourth]) await scene.expectAppliedOnce(1, stream);
      for (const stream of [second, fourth]) expect(await scene.shard(stream)).toMatchObject({ epoch: 1 });
      expect(await scene.history(lost)).toEqual([]);
      expect(await scene.shard(lost)).toMatchObject({ owner: "other", checkpoint: null, changes: 0 });
    },
  ));

it("a lost answer is no lost lease: all begin again at the checkpoint that is there (I1)", () => {
  let lost: Promise<void> | undefined;
  return together(
    (_scene, proxy) => {
      // Only a transaction that moves two checkpoints at once.
      lost = proxy.loseReply({ ...lostCommit, request: '},{"stream":' });
      return Promise.resolve();
    },
    async (scene, member) => {
      await lost;
      const [, ...others] = scene.streams;
      for (const stream of others) {
        await scene.expectAppliedOnce(1, stream);
        expect(await scene.shard(stream)).toMatchObject({ epoch: 1 });
      }
      expect(new Set(member.seen.codes)).toEqual(new Set(["DATABASE_UNAVAILABLE"]));
    },
  );
});
