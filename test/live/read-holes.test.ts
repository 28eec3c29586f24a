import { expect, inject, it } from "vitest";
import { numberedEntries } from "../support/entries.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { createScene, holdBatches, range, type Scene } from "../support/scene.ts";

const group = "sluice";

it("has no hole after replies to its reads were lost on the way (I3)", async () => {
  await using proxy = await startFaultProxy(inject("redisUrl"));
  await using scene = await createScene();
  await using member = await scene.startMember({ redisUrl: proxy.url });
  await scene.append(1, 10);
  await scene.expectAppliedOnce(10);
  for (let round = 1; round <= 5; round++) {
    const lost = proxy.loseReply({ request: "XREAD", reply: (bytes) => bytes.includes("history") });
    await scene.append(round * 10 + 1, round * 10 + 10);
    await lost;
  }
  await scene.expectAppliedOnce(60);
  expect(member.seen.codes.filter((code) => code === "REDIS_UNAVAILABLE").length).toBeGreaterThanOrEqual(5);
  expect(member.seen.rewound).toBeGreaterThanOrEqual(6);
});

type Theft = "keeps" | "acknowledges" | "reads without acknowledgement";

/** Adds changes and reads them as another consumer, in one step: a waiting reader never sees them. */
async function appendAndSteal(scene: Scene, from: number, to: number, how: Theft): Promise<void> {
  const { stream, redis } = scene;
  const noAck = how === "reads without acknowledgement" ? (["NOACK"] as const) : [];
  const step = redis.multi();
  for (const fields of range(from, to).flatMap((number) => numberedEntries(stream, number))) {
    step.xadd(stream, "*", ...fields);
  }
  step.call("XREADGROUP", "GROUP", group, "thief", ...noAck, "STREAMS", stream, ">");
  const replies = (await step.exec()) ?? [];
  const ids = replies.slice(0, -1).map(([, id]) => String(id));
  expect(JSON.stringify(replies.at(-1))).toContain(ids.at(-1));
  if (how === "acknowledges") await redis.xack(stream, group, ...ids);
}

it.each<Theft>(["keeps", "acknowledges", "reads without acknowledgement"])(
  "applies what a foreign consumer of its group read, also when it %s",
  async (how) => {
    await using scene = await createScene();
    await using member = await scene.startMember();
    await scene.append(1, 10);
    await scene.expectAppliedOnce(10);
    await appendAndSteal(scene, 11, 15, how);
    await scene.append(16, 20);
    await scene.expectAppliedOnce(20);
    // Nothing follows the last theft that could give it away.
    await appendAndSteal(scene, 21, 25, how);
    await scene.expectAppliedOnce(25);
    expect(member.pipeline.health().registered).toBe(true);
  },
);

const acts: readonly [what: string, commands: (stream: string, lastId: string) => string[][]][] = [
  ["XGROUP DELCONSUMER of its consumer", (stream) => [["XGROUP", "DELCONSUMER", stream, group, "member"]]],
  ["XGROUP SETID to the beginning", (stream) => [["XGROUP", "SETID", stream, group, "0"]]],
  ["XGROUP SETID to the end", (stream) => [["XGROUP", "SETID", stream, group, "$"]]],
  ["XGROUP DESTROY", (stream) => [["XGROUP", "DESTROY", stream, group]]],
  [
    "XGROUP DESTROY and CREATE at the beginning",
    (stream) => [
      ["XGROUP", "DESTROY", stream, group],
      ["XGROUP", "CREATE", stream, group, "0"],
    ],
  ],
  [
    "XGROUP DESTROY and CREATE at the end",
    (stream) => [
      ["XGROUP", "DESTROY", stream, group],
      ["XGROUP", "CREATE", stream, group, "$"],
    ],
  ],
  ["XACK of what it holds", (stream, lastId) => [["XACK", stream, group, lastId]]],
];

it.each(acts)(
  "applies everything once after an administrator's %s, idle and in the middle of a batch",
  async (_, commands) => {
    await using scene = await createScene({ config: { batchEntries: 10 } });
    await using member = await scene.startMember();
    const act = async (lastId: string): Promise<void> => {
      for (const [name = "", ...args] of commands(scene.stream, lastId))
        await scene.redis.call(name, ...args);
    };
    await scene.append(1, 20);
    await scene.expectAppliedOnce(20);
    await act((await scene.shard()).checkpoint ?? "");
    await scene.append(21, 40);
    await scene.expectAppliedOnce(40);
    {
      await using batch = await holdBatches(scene.db);
      const lastId = await scene.append(41, 80);
      await batch.waiting();
      await act(lastId);
    }
    await scene.append(81, 100);
    await scene.expectAppliedOnce(100);
    expect(member.pipeline.health().registered).toBe(true);
  },
);
