import { expect, it } from "vitest";
import { createScene } from "../support/scene.ts";

const slow = { timeout: 20_000, interval: 20 };

it("lets an earlier generation's shard go once nothing needs it, removes its stream, and goes on with the later ones", async () => {
  await using scene = await createScene({ config: { retainAgeMs: 0, maintenanceIntervalMs: 100 } });
  const { db, redis, stream: old } = scene;
  const later = [0, 1].map((shard) => old.replace(/0$/, `g2.${shard}`));
  const [first = "", second = ""] = later;
  const shard = async (stream: string): Promise<unknown> =>
    (
      await db.query("SELECT owner, retired_at IS NOT NULL AS retired FROM sluice.shard WHERE stream = $1", [
        stream,
      ])
    )[0];
  {
    await using _member = await scene.startMember();
    await scene.append(1, 20);
    await scene.expectAppliedOnce(20);
  }
  // Another group keeps the stream, and with it the shard, which is read like the others meanwhile.
  await redis.xgroup("CREATE", old, "audit", "0");
  await using member = await scene.startMember({ streams: later });
  await scene.append(1, 20, first);
  await scene.append(21, 30);
  await scene.expectAppliedOnce(30);
  await scene.expectAppliedOnce(20, first);
  await scene.append(1, 20, second);
  await scene.expectAppliedOnce(20, second);
  expect(await shard(old)).toEqual({ owner: "member", retired: false });
  expect(await redis.exists(old)).toBe(1);

  await redis.xgroup("DESTROY", old, "audit");
  await expect.poll(() => redis.exists(old), slow).toBe(0);
  expect(await shard(old)).toEqual({ owner: null, retired: true });
  for (const stream of later) {
    await scene.append(21, 40, stream);
    await scene.expectAppliedOnce(40, stream);
    expect(await shard(stream)).toEqual({ owner: "member", retired: false });
  }
  // Its reader would have made the stream anew.
  expect(await redis.exists(old)).toBe(0);
  expect(member.seen.codes.filter((code) => code !== "GENERATION_WAITS")).toEqual([]);
});
