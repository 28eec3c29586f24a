import { expect, it } from "vitest";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { createScene, type Scene } from "../support/scene.ts";

const leaseMs = 3_000;

/** For a test machine that does other things too. */
const slackMs = 500;

const partitions = [
  ["Redis only", ["redis"]],
  ["PostgreSQL only", ["database"]],
  ["both", ["redis", "database"]],
] as const;

async function owners(scene: Scene): Promise<readonly (string | null)[]> {
  const rows = await Promise.all(scene.streams.map((stream) => scene.shard(stream)));
  return rows.map(({ owner }) => owner);
}

async function isShared(scene: Scene): Promise<boolean> {
  return (await owners(scene)).toSorted().join() === "far,near";
}

it.each(partitions)(
  "applies a cut off member's shards within the lease and a second, and doubles nothing: cut off from %s",
  async (_, cutOff) => {
    await using scene = await createScene({ shards: 2, config: { leaseMs } });
    await using redis = await startFaultProxy(scene.config.redisUrl);
    await using database = await startFaultProxy(scene.config.databaseUrl);
    const proxies = { redis, database };
    await using far = await scene.startMember({
      member: "far",
      redisUrl: redis.url,
      databaseUrl: database.url,
    });
    await using _near = await scene.startMember({ member: "near" });
    await expect.poll(() => isShared(scene), { timeout: 10_000 }).toBe(true);
    for (const stream of scene.streams) await scene.append(1, 20, stream);
    for (const stream of scene.streams) await scene.expectAppliedOnce(20, stream);
    const stream = scene.streams[(await owners(scene)).indexOf("far")] ?? "";
    for (const which of cutOff) proxies[which].freeze();
    const frozenAt = performance.now();
    // The far member may have these on their way when they are applied by the near one.
    await scene.append(21, 40, stream);
    await expect
      .poll(async () => (await scene.history(stream)).length, { timeout: 20_000, interval: 20 })
      .toBe(40);
    expect(performance.now() - frozenAt).toBeLessThan(leaseMs + 1_000 + slackMs);
    for (const which of cutOff) await proxies[which].heal();
    await scene.append(41, 60, stream);
    await expect.poll(() => isShared(scene), { timeout: 20_000 }).toBe(true);
    for (const each of scene.streams) await scene.append(each === stream ? 61 : 21, 80, each);
    for (const each of scene.streams) await scene.expectAppliedOnce(80, each);
    expect(far.pipeline.health()).toMatchObject({ registered: true, redisReachable: true });
  },
);
