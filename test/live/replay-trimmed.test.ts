import { expect, inject, test } from "vitest";
import { RangeReader } from "../../src/source/range-reader.ts";
import {
  applied,
  createStage,
  holdDocs,
  restored,
  sessionLike,
  threeDocs,
  type Stage,
} from "../support/replay-stage.ts";
import { runSluice } from "../support/sluice-process.ts";

test("a range whose beginning was removed exits 3 with the first id that is left, and goes on when that is accepted", async () => {
  await using stage = await createStage();
  const { db, redis, stream, replay } = stage;
  const ids = await threeDocs(stage);
  await applied(stage);
  await redis.xtrim(stream, "MINID", ids[3] ?? "");
  await db.query("DELETE FROM docs");
  const range = ["--stream", stream, "--from", ids[1] ?? ""];

  const refused = await replay(...range);
  expect(refused).toMatchObject({ code: 3, out: "" });
  expect(refused.err).toContain("error REPLAY_TRIMMED");
  expect(refused.err).toContain(`the first entry that is left is ${ids[3]}`);
  expect(await stage.docs()).toEqual([]);
  expect(await replay("--stream", stream, "--from", "2020-01-01T00:00:00Z")).toMatchObject({ code: 3 });

  const accepted = await replay(...range, "--accept-gap");
  expect(accepted).toMatchObject({ code: 0, err: expect.stringContaining("had been removed; accepted") });
  expect(await stage.docs()).toEqual(restored);
  await db.query("DELETE FROM docs");
  expect(await replay("--stream", stream, "--from", "0")).toMatchObject({ code: 0 });
  expect(await stage.docs()).toEqual(restored);

  await redis.xtrim(stream, "MAXLEN", 0);
  expect(await replay(...range)).toMatchObject({
    code: 3,
    err: expect.stringContaining("nothing of it is left"),
  });
  expect(await replay("--stream", stream, "--from", "0")).toMatchObject({ code: 0 });
});

test("a reader notices that entries it had yet to read were removed, and only those", async () => {
  await using stage = await createStage();
  const ids: string[] = [];
  for (let id = 0; id < 12; id++) ids.push(await stage.add({ op: "c", id, position: id + 1 }));
  const reader = new RangeReader({
    ...{ url: inject("redisUrl"), name: "test", stream: stage.stream },
    ...{ from: "0-0", to: ids[11] ?? "", fromSeen: false, existed: true },
    ...{ maxEntries: 4, targetBytes: 2 ** 20 },
  });
  const read = async (): Promise<object> => {
    const { entries, gap } = await reader.read();
    return { ids: Array.from({ length: entries.length }, (_, index) => entries.idOf(index)), gap };
  };
  expect(await read()).toEqual({ ids: ids.slice(0, 4), gap: undefined });
  await stage.redis.xtrim(stage.stream, "MINID", ids[4] ?? "");
  expect(await read()).toEqual({ ids: ids.slice(4, 8), gap: undefined });
  await stage.redis.xtrim(stage.stream, "MINID", ids[10] ?? "");
  expect(await read()).toEqual({ ids: ids.slice(10), gap: { missing: ids[8], firstLeft: ids[10] } });
  expect(await read()).toEqual({ ids: [], gap: undefined });
  reader.close();
});

/** Runs a replay, and in the middle of its first chunk does something else. */
async function replayDuring(
  stage: Stage,
  args: readonly string[],
  meanwhile: () => Promise<unknown>,
): ReturnType<Stage["replay"]> {
  await using stack = new AsyncDisposableStack();
  const held = stack.use(await holdDocs(stage.db));
  const running = stage.replay(...args);
  await sessionLike(stage.db, "sluice:replay:%");
  await meanwhile();
  stack.move();
  await held[Symbol.asyncDispose]();
  return await running;
}

async function twelveDocs(stage: Stage, stream = stage.stream, firstId = 0): Promise<string[]> {
  const ids: string[] = [];
  for (let id = firstId; id < firstId + 12; id++)
    ids.push(await stage.add({ op: "c", id, position: id + 1, after: { title: "t" } }, stream));
  return ids;
}

test("a range that is trimmed under the running replay is reported, with what was done before", async () => {
  await using stage = await createStage({ batchEntries: 2 });
  const { db, redis, stream } = stage;
  const ids = await twelveDocs(stage);
  const { code, err } = await replayDuring(stage, ["--stream", stream, "--from", ids[0] ?? ""], () =>
    redis.xtrim(stream, "MINID", ids[9] ?? ""),
  );
  expect(code).toBe(3);
  expect(err).toContain("error REPLAY_TRIMMED");
  expect(err).toContain(`the first entry that is left is ${ids[9]}`);
  const done = (await stage.docs()).length;
  expect(done).toBeGreaterThanOrEqual(2);
  expect(done).toBeLessThan(9);
  expect(
    await db.query("SELECT state, entries::int, detail -> 'error' ->> 'code' AS code FROM sluice.replay"),
  ).toEqual([{ state: "failed", entries: done, code: "REPLAY_TRIMMED" }]);
});

test("a gap under the running replay is passed over and named when that is accepted", async () => {
  await using stage = await createStage({ batchEntries: 2 });
  const { db, redis, stream } = stage;
  const ids = await twelveDocs(stage);
  const { code, err } = await replayDuring(
    stage,
    ["--stream", stream, "--from", ids[0] ?? "", "--accept-gap"],
    () => redis.xtrim(stream, "MINID", ids[9] ?? ""),
  );
  expect(code).toBe(0);
  const docs = (await db.query<{ id: number }>("SELECT id FROM docs ORDER BY id")).map(({ id }) => id);
  expect(docs.slice(-3)).toEqual([9, 10, 11]);
  const missing = ids[docs.length - 3];
  expect(err).toContain(`${stream}: entries from ${missing} to ${ids[9]} had been removed; accepted`);
  expect(await db.query("SELECT state, entries::int, detail -> 'gaps' AS gaps FROM sluice.replay")).toEqual([
    { state: "done", entries: docs.length, gaps: [{ missing, firstLeft: ids[9] }] },
  ]);
});

test("--all-streams from a time replays what came since; a stream that is trimmed beyond it before its turn is not passed over", async () => {
  await using stage = await createStage({ batchEntries: 2 }, 2);
  const { db, redis, streams } = stage;
  const [first = "", second = ""] = streams;
  await twelveDocs(stage, second, 100);
  const early = await twelveDocs(stage, first, 200);
  // Entry ids are made by Redis's clock, in milliseconds.
  const at = Number(early.at(-1)?.split("-")[0]) + 50;
  const now = async (): Promise<number> => Number((await redis.time())[0]) * 1000;
  await expect.poll(now, { timeout: 5_000, interval: 10 }).toBeGreaterThan(at);
  await twelveDocs(stage, first);
  const ids = await twelveDocs(stage, second, 20);
  const range = ["--all-streams", "--from", new Date(at).toISOString()];
  const done = await stage.replay(...range, "--json");
  expect(done.code).toBe(0);
  expect(JSON.parse(done.out)).toMatchObject({ streams: [{ entries: 12 }, { entries: 12 }] });
  expect(await db.query("SELECT FROM docs WHERE id >= 100")).toEqual([]);
  const trimmed = await replayDuring(stage, range, () => redis.xtrim(second, "MINID", ids[5] ?? ""));
  expect(trimmed.code).toBe(3);
  expect(trimmed.err).toContain("error REPLAY_TRIMMED");
  expect(trimmed.err).toContain(`the first entry that is left is ${ids[5]}`);
  const accepted = await stage.replay(...range, "--accept-gap");
  expect(accepted.code).toBe(0);
  expect(accepted.err.match(/had been removed; accepted/g)).toHaveLength(1);
  expect((await stage.replay("--stream", second, "--from", ids[5] ?? "")).code).toBe(0);
});

test("a stream that is gone is named, unless it never was there", async () => {
  await using stage = await createStage({}, 2);
  const { redis, stream } = stage;
  const ids = await threeDocs(stage);
  expect(await stage.replay("--all-streams", "--from", "2020-01-01")).toMatchObject({ code: 0 });
  await applied(stage);
  await redis.del(stream);
  const gone = await stage.replay("--stream", stream, "--from", ids[0] ?? "");
  expect(gone).toMatchObject({ code: 3, err: expect.stringContaining("nothing of it is left") });
  expect(await stage.replay("--all-streams", "--from", "2020-01-01")).toMatchObject({ code: 3 });
  expect(await stage.replay("--stream", stream, "--from", "0")).toMatchObject({ code: 0 });
});

test("the program exits 2 for a stream that there is not", async () => {
  await using stage = await createStage();
  const run = await runSluice(["replay", "--stream", "cdc.none", "--from", "0"], stage.env);
  expect(run).toMatchObject({ code: 2, stdout: "" });
  expect(run.stderr).toContain("error CONFIG_INVALID");
  expect(run.stderr).toContain(`there is no stream cdc.none; there are ${stage.stream}`);
});
