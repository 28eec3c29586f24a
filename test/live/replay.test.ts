import { expect, test } from "vitest";
import { replayCommand } from "../../src/cli/replay.ts";
import { replayFromSelection } from "../../src/cli/replay-arguments.ts";
import { withReplay } from "../../src/cli/run.ts";
import type { Logger, LogFields } from "../../src/observe/logger.ts";
import { buildPipeline } from "../../src/pipeline/build.ts";
import type { TestDatabase } from "../support/database.ts";
import { quietProgress } from "../support/member.ts";
import {
  applied,
  createStage,
  fields,
  holdDocs,
  placeholder,
  restored,
  sessionLike,
  threeDocs,
} from "../support/replay-stage.ts";
import { sessionThatWaits } from "../support/scene.ts";

const shards = (db: TestDatabase): Promise<object[]> =>
  db.query("SELECT * FROM sluice.shard ORDER BY stream");

test("rows damaged and deleted by hand come back, deleted ones stay away; the live checkpoint does not move", async () => {
  await using stage = await createStage();
  const { db, stream, replay } = stage;
  const ids = await threeDocs(stage);
  await applied(stage);
  const before = await shards(db);
  await db.query("UPDATE docs SET title = 'damaged' WHERE id = 1; DELETE FROM docs WHERE id = 2");

  expect(await replay("--stream", stream, "--from", ids[0] ?? "")).toMatchObject({ code: 0 });
  expect(await stage.docs()).toEqual(restored);
  expect(await shards(db)).toEqual(before);
  const records = await db.query(
    `SELECT stream, from_entry, to_entry, tables, state, entries::int, written::int, stale::int, ended_at >= started_at AS ended,
       detail -> 'tables' -> 0 ->> 'table' AS first FROM sluice.replay`,
  );
  const record = { stream, from_entry: ids[0], to_entry: ids.at(-1), tables: [], state: "done", entries: 7 };
  expect(records).toEqual([{ ...record, written: 3, stale: 0, ended: true, first: "public.docs" }]);
});

test("chunk by chunk or at once, older changes do not pass the guard, and counts say so", async () => {
  await using stage = await createStage({ batchEntries: 1 });
  await threeDocs(stage);
  await applied(stage);
  const { code, out } = await stage.replay("--all-streams", "--from", "0", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    state: "done",
    dryRun: false,
    tables: [
      {
        table: "public.docs",
        inserts: 3,
        updates: 3,
        deletes: 1,
        folded: 0,
        written: 3,
        stale: 4,
        unknown: 0,
      },
    ],
  });
  expect(await stage.docs()).toEqual(restored);
});

test.each([1, 1000])(
  "a dry run writes nothing and counts what a replay then does (chunks of %i)",
  async (batchEntries) => {
    await using stage = await createStage({ batchEntries });
    const { db, replay, add } = stage;
    await threeDocs(stage);
    await add({ op: "c", id: 5, position: 300, after: { title: "five", body: "large" } });
    await add({ op: "u", id: 5, position: 310, after: { title: "5", body: placeholder } });
    await add({ op: "u", id: 6, position: 320, after: { title: "6", body: placeholder } });
    await add({ op: "c", id: 7, position: 330, after: { title: "seven", body: "b" } });
    await db.query("INSERT INTO docs VALUES (6, 'six', 'large', 1)");
    await applied(stage);
    await db.query(
      "UPDATE docs SET title = 'damaged' WHERE id = 1; DELETE FROM docs WHERE id IN (2, 5, 6, 7)",
    );
    const state = async (): Promise<object> => ({
      docs: await db.query("TABLE docs ORDER BY id"),
      shards: await shards(db),
    });
    const before = await state();

    const dry = await replay("--all-streams", "--from", "0", "--dry-run", "--json");
    expect(await state()).toEqual(before);
    expect(await db.query("SELECT FROM sluice.replay")).toEqual([]);
    const real = await replay("--all-streams", "--from", "0", "--json");
    expect([dry.code, real.code]).toEqual([3, 3]);
    expect(JSON.parse(dry.out).tables).toEqual(JSON.parse(real.out).tables);
    expect(JSON.parse(real.out).tables).toMatchObject([
      { table: "public.docs", unknown: 1, inserts: 5, updates: 5 },
    ]);
    expect(await stage.docs()).toEqual([
      ...restored,
      { id: 5, title: "5", body: "large" },
      { id: 7, title: "seven", body: "b" },
    ]);
  },
);

test("what is newer than a snapshot that it was logged below comes back, though the snapshot is not in the range", async () => {
  await using stage = await createStage();
  const { db, stream, replay, add } = stage;
  for (const id of [1, 2]) await add({ op: "r", id, position: 504, after: { title: "old", body: "b" } });
  const from = await add({ op: "u", id: 1, position: 400, commit: 600, after: { title: "new", body: "b" } });
  await add({ op: "d", id: 2, position: 408, commit: 600 });
  await applied(stage);
  await db.query("UPDATE docs SET title = 'damaged'");
  expect(await replay("--stream", stream, "--from", from)).toMatchObject({ code: 0 });
  expect(await stage.docs()).toEqual([{ id: 1, title: "new", body: "b" }]);
});

test("--table limits what is replayed", async () => {
  await using stage = await createStage();
  const { db, replay, add } = stage;
  await db.query("CREATE TABLE notes (id int PRIMARY KEY, title text, _sluice_lsn bigint)");
  for (const table of ["docs", "notes"])
    await add({ op: "c", table, id: 1, position: 10, after: { title: "t" } });
  await applied(stage);
  await db.query("DELETE FROM docs; DELETE FROM notes");
  expect(
    await replay("--all-streams", "--from", "0", "--table", "public.d*", "--table", "!public.x"),
  ).toMatchObject({ code: 0 });
  expect(
    await db.query(
      "SELECT (SELECT count(*)::int FROM docs) AS docs, (SELECT count(*)::int FROM notes) AS notes",
    ),
  ).toEqual([{ docs: 1, notes: 0 }]);
  expect(await db.query("SELECT tables FROM sluice.replay")).toEqual([
    { tables: ["public.d*", "!public.x"] },
  ]);
});

test("an interrupted replay ends after the chunk at hand, exits 130 and says how to go on", async () => {
  await using stage = await createStage({ batchEntries: 2 });
  const { db, stream, config } = stage;
  const ids: string[] = [];
  for (let id = 0; id < 12; id++)
    ids.push(await stage.add({ op: "c", id, position: id + 1, after: { title: "t" } }));
  const stopping = new AbortController();
  let err = "";
  const io = { out: () => undefined, err: (text: string) => void (err += text), env: {} };
  const range = { stream, allStreams: false, from: "0", to: undefined, tables: [] };
  const flags = { ...range, dryRun: false, acceptGap: false, json: false };
  const held = await holdDocs(db);
  const running = replayCommand(config, io, flags, stopping.signal);
  await sessionThatWaits(db, "replay:member");
  stopping.abort();
  await held[Symbol.asyncDispose]();
  expect(await running).toBe(130);
  expect(await stage.docs()).toHaveLength(2);
  expect(err).toContain(`${stream} is done up to ${ids[1]}; go on with --stream ${stream} --from ${ids[1]}`);
  expect(await db.query("SELECT state, entries::int FROM sluice.replay")).toEqual([
    { state: "interrupted", entries: 2 },
  ]);
});

test("a large value that the range does not have is named, and the row is left out", async () => {
  await using stage = await createStage();
  const { db, add, replay, stream } = stage;
  await add({ op: "c", id: 1, position: 10, after: { title: "one", body: "large" } });
  await add({ op: "c", id: 2, position: 20, after: { title: "two", body: "large" } });
  const from = await add({ op: "u", id: 1, position: 30, after: { title: "1", body: placeholder } });
  await add({ op: "u", id: 2, position: 40, after: { title: "2", body: placeholder } });
  await add({ op: "u", id: 2, position: 50, after: { title: "2", body: "larger" } });
  await applied(stage);
  await db.query("DELETE FROM docs");
  const { code, out, err } = await replay("--stream", stream, "--from", from);
  expect(code).toBe(3);
  expect(await stage.docs()).toEqual([{ id: 2, title: "2", body: "larger" }]);
  expect(err).toContain("1 row of public.docs: their large values were not in the range");
  expect(err).toContain(`at ${from}`);
  expect(out).toMatch(/public\.docs .* 1\n$/);
  expect(await replay("--stream", stream, "--from", "0")).toMatchObject({ code: 0 });
  expect(await stage.docs()).toEqual([
    { id: 1, title: "1", body: "large" },
    { id: 2, title: "2", body: "larger" },
  ]);
});

test("what cannot be decoded or written is named and left out; all else is restored", async () => {
  await using stage = await createStage();
  const { db, redis, stream, add, replay } = stage;
  await db.query("CREATE TABLE notes (id int PRIMARY KEY, small int2, _sluice_lsn bigint)");
  await add({ op: "c", id: 1, position: 10, after: { title: "one", body: "b" } });
  const foreign = String(await redis.xadd(stream, "*", "hello", "world"));
  const missing = await add({ op: "c", table: "missing", id: 1, position: 20 });
  const missingToo = await add({ op: "c", table: "missing", id: 2, position: 21 });
  const line = await add({ op: "c", table: "log", position: 25, after: { line: "x" } });
  const invalid = await add({ op: "c", table: "notes", id: 1, position: 30, after: { small: 70_000 } });
  await add({ op: "c", table: "notes", id: 2, position: 31, after: { small: 7 } });
  await add({ op: "c", id: 2, position: 40, after: { title: "two", body: "b" } });
  const { code, out } = await replay("--stream", stream, "--from", "0", "--json");
  expect(code).toBe(3);
  const found = JSON.parse(out).streams[0].leftOut as {
    code: string;
    table: string | null;
    firstId: string;
    lastId: string;
  }[];
  const named = found.map(({ code, table, firstId, lastId }) => [code, table, firstId, lastId]);
  expect(named).toHaveLength(4);
  expect(named).toEqual(
    expect.arrayContaining([
      ["TABLE_MISSING", "public.missing", missing, missingToo],
      ["TABLE_WITHOUT_KEY", "public.log", line, line],
      ["VALUE_INVALID", "public.notes", invalid, invalid],
      ["ENTRY_NOT_DEBEZIUM", null, foreign, foreign],
    ]),
  );
  expect(await stage.docs()).toMatchObject([{ id: 1 }, { id: 2 }]);
  expect(await db.query("SELECT id, small FROM notes")).toEqual([{ id: 2, small: 7 }]);
  expect(await db.query("SELECT FROM log")).toEqual([]);
  const text = await replay("--stream", stream, "--from", "0");
  for (const id of [foreign, missing, missingToo, line, invalid]) expect(text.err).toContain(id);
});

test("a row that is being deleted while an old insert of it is replayed does not come back", async () => {
  await using stage = await createStage();
  const { db, add, replay, stream } = stage;
  await add({ op: "c", id: 1, position: 10, after: { title: "one", body: "b" } });
  await applied(stage);
  const client = await db.pool.connect();
  await client.query("BEGIN");
  await client.query("DELETE FROM docs WHERE id = 1");
  await client.query(
    `INSERT INTO sluice.tombstone (table_name, key, position) VALUES ('public.docs', '{"id":1}', 500)`,
  );
  const running = replay("--stream", stream, "--from", "0", "--json");
  await sessionLike(db, "sluice:replay:%");
  await client.query("COMMIT");
  client.release();
  const { code, out } = await running;
  expect(code).toBe(0);
  expect(await stage.docs()).toEqual([]);
  expect(JSON.parse(out).tables).toMatchObject([{ written: 0, stale: 1 }]);
});

test("a key change is restored from what the old key's delete saved, and not once its new row was deleted", async () => {
  await using stage = await createStage();
  const { db, add, replay, stream } = stage;
  for (const [id, newId, at] of [
    [1, 11, 10],
    [2, 12, 20],
  ] as const) {
    await add({ op: "c", id, position: at, after: { title: "t", body: `large ${id}` } });
    await add({ op: "d", id, newId, position: at + 1 });
    await add({ op: "c", id: newId, oldId: id, position: at + 1, after: { title: "t", body: placeholder } });
  }
  const to = await add({ op: "u", id: 11, position: 30, after: { title: "u", body: placeholder } });
  await add({ op: "d", id: 12, position: 40 });
  await applied(stage);
  const expected = [{ id: 11, title: "u", body: "large 1" }];
  expect(await stage.docs()).toEqual(expected);
  await db.query("DELETE FROM docs");
  expect(await replay("--stream", stream, "--from", "0", "--to", to)).toMatchObject({ code: 0 });
  expect(await stage.docs()).toEqual(expected);
});

test("run --replay-from replays before it takes shards, warns of what it cannot restore, and goes on live", async () => {
  await using stage = await createStage();
  const { db, redis, config, stream, add } = stage;
  const ids = await threeDocs(stage);
  await redis.xadd(stream, "*", ...fields({ op: "c", table: "log", position: 210, after: { line: "x" } }));
  await applied(stage);
  await db.query("UPDATE docs SET title = 'damaged'; DELETE FROM docs WHERE id = 2");
  const lines: [level: string, fields: LogFields][] = [];
  const note = (level: string) => (fields: LogFields) => void lines.push([level, fields]);
  const logger: Logger = {
    debug: note("debug"),
    info: note("info"),
    warn: note("warn"),
    error: note("error"),
    fatal: note("fatal"),
  };
  const build = (from: string) =>
    withReplay(
      config,
      buildPipeline(config, { progress: quietProgress, version: "test" }),
      logger,
      replayFromSelection(`${stream}=${from}`),
    );
  const pipeline = build(ids[0] ?? "");
  expect(pipeline.health()).toMatchObject({ registered: false, tickAgeMs: 0 });
  await pipeline.start();
  try {
    expect(await stage.docs()).toEqual(restored);
    expect(lines.map(([level, { event }]) => [level, event])).toEqual([
      ["info", "replay_started"],
      ["warn", "replay_incomplete"],
      ["info", "replay_done"],
    ]);
    await add({ op: "c", id: 9, position: 300, after: { title: "nine", body: "b" } });
    await expect
      .poll(() => stage.docs(), { timeout: 10_000 })
      .toContainEqual({ id: 9, title: "nine", body: "b" });
  } finally {
    await pipeline.drain();
  }
  await redis.xtrim(stream, "MINID", ids[3] ?? "");
  const trimmed = build(ids[0] ?? "");
  await expect(trimmed.start()).rejects.toMatchObject({ code: "REPLAY_TRIMMED" });
  await trimmed.drain();
});

test("a read database that goes away in between is waited for", async () => {
  await using stage = await createStage({ batchEntries: 2 });
  const { db, stream } = stage;
  for (let id = 0; id < 12; id++) await stage.add({ op: "c", id, position: id + 1, after: { title: "t" } });
  const held = await holdDocs(db);
  const running = stage.replay("--stream", stream, "--from", "0");
  await sessionLike(db, "sluice:replay:%");
  await db.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'sluice:replay:%'",
  );
  await held[Symbol.asyncDispose]();
  const { code, err } = await running;
  expect(code).toBe(0);
  expect(err).toContain("trying again: DATABASE_UNAVAILABLE");
  expect(await stage.docs()).toHaveLength(12);
});
