import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { lostCommit, startFaultProxy, type FaultProxy } from "../support/fault-proxy.ts";
import type { Config } from "../../src/config/config.ts";
import { createScene, type Scene } from "../support/scene.ts";

type Store = "Redis" | "PostgreSQL";
const stores: readonly Store[] = ["Redis", "PostgreSQL"];

async function proxyOf(scene: Scene, store: Store): Promise<FaultProxy> {
  return await startFaultProxy(store === "Redis" ? scene.config.redisUrl : scene.config.databaseUrl);
}

function through(proxy: FaultProxy, store: Store): Partial<Config> {
  return store === "Redis" ? { redisUrl: proxy.url } : { databaseUrl: proxy.url };
}

interface Load extends AsyncDisposable {
  /** Numbers that were added so far. */
  readonly added: number;
  /** Ends it; the last number. */
  stop(): Promise<number>;
}

/** A steady trickle of changes, past the proxy. */
function startLoad(scene: Scene): Load {
  const stopping = new AbortController();
  let added = 0;
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await scene.append(added + 1, added + 5);
      added += 5;
      await pause(10);
    }
  };
  const running = run();
  const stop = async (): Promise<number> => {
    stopping.abort();
    await running;
    return added;
  };
  return {
    get added() {
      return added;
    },
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
}

/** What is added from now on arrives. */
async function expectProgress(scene: Scene, load: Load): Promise<void> {
  const { added } = load;
  await expect
    .poll(async () => (await scene.history()).length, { timeout: 20_000, interval: 20 })
    .toBeGreaterThan(added);
}

it.each(stores)(
  "goes on by itself after %s's connections were cut, refused for 2 s, silent for 3 s and slow; loses and doubles nothing",
  async (store) => {
    await using scene = await createScene({ config: { leaseMs: 2_000, batchEntries: 50 } });
    await using proxy = await proxyOf(scene, store);
    await using member = await scene.startMember(through(proxy, store));
    await using load = startLoad(scene);
    await expectProgress(scene, load);
    for (let round = 0; round < 3; round++) {
      proxy.cut();
      await expectProgress(scene, load);
    }
    await proxy.refuse();
    await pause(2_000);
    await proxy.heal();
    await expectProgress(scene, load);
    proxy.freeze();
    await pause(3_000);
    await proxy.heal();
    await expectProgress(scene, load);
    proxy.delay(20);
    await expectProgress(scene, load);
    await proxy.heal();
    await scene.expectAppliedOnce(await load.stop());
    expect(member.seen.codes).toContain(store === "Redis" ? "REDIS_UNAVAILABLE" : "DATABASE_UNAVAILABLE");
    await expect
      .poll(() => member.pipeline.health())
      .toMatchObject({
        redisReachable: true,
        databaseReachable: true,
      });
  },
);

it.each(stores)(
  "notices that its connections to %s are dead although nobody closed them, and opens new ones",
  async (store) => {
    await using scene = await createScene({ config: { leaseMs: 2_000, drainDeadlineMs: 2_000 } });
    await using proxy = await proxyOf(scene, store);
    await using member = await scene.startMember(through(proxy, store));
    await scene.append(1, 10);
    await scene.expectAppliedOnce(10);
    proxy.strand();
    await scene.append(11, 20);
    await scene.expectAppliedOnce(20);
    // The supervisor's own connections are replaced too, or nobody would prolong the lease of an idle shard.
    await expect
      .poll(() => scene.db.query("SELECT FROM sluice.member WHERE last_seen > now() - interval '1 s'"), {
        timeout: 15_000,
      })
      .toHaveLength(1);
    await expect
      .poll(() => member.pipeline.health(), { timeout: 15_000 })
      .toMatchObject({ redisReachable: true, databaseReachable: true });
    expect(member.pipeline.health().tickAgeMs).toBeLessThan(2_000);
    await expect.poll(() => scene.shard()).toMatchObject({ leased: true, owner: "member" });
    await member.pipeline.drain();
    expect(await scene.shard()).toMatchObject({ owner: null });
  },
);

it("doubles nothing when the reply to a commit is lost (I1)", async () => {
  await using scene = await createScene({ config: { batchEntries: 10 } });
  await using proxy = await proxyOf(scene, "PostgreSQL");
  await using member = await scene.startMember(through(proxy, "PostgreSQL"));
  for (let round = 0; round < 5; round++) {
    const lost = proxy.loseReply(lostCommit);
    await scene.append(round * 20 + 1, round * 20 + 20);
    await lost;
  }
  await scene.expectAppliedOnce(100);
  expect(member.seen.codes).toContain("DATABASE_UNAVAILABLE");
});
