import { createServer } from "node:net";
import { expect, it } from "vitest";
import { openPool } from "../../src/sink/connect.ts";
import { openRedis } from "../../src/source/connect.ts";
import { createScene, holdBatches } from "../support/scene.ts";

const slow = { timeout: 15_000, interval: 20 };

interface Raw {
  readonly op: "c" | "u" | "d" | "r";
  readonly schema?: string;
  readonly table: string;
  readonly key: object;
  readonly after?: object;
  readonly lsn: number;
  /** The last commit before this one; null: Debezium does not know. */
  readonly commit?: number | null;
  /** When it was committed, after the others. */
  readonly laterMs?: number;
  readonly headers?: readonly string[];
}

function fieldsOf({
  op,
  schema = "public",
  table,
  key,
  after,
  lsn,
  commit = lsn - 1,
  laterMs = 0,
  headers = [],
}: Raw): string[] {
  const sequence = JSON.stringify([commit === null ? null : String(commit), String(lsn)]);
  const source = { ts_ms: 1_700_000_000_000 + laterMs, sequence, schema, table, lsn };
  const value = { before: op === "d" ? key : null, after: after ?? null, source, op };
  return ["key", JSON.stringify(key), "value", JSON.stringify(value), ...headers];
}

type Scene = Awaited<ReturnType<typeof createScene>>;

async function apply(scene: Scene, raw: Raw, stream = scene.stream): Promise<void> {
  const id = await scene.redis.xadd(stream, "*", ...fieldsOf(raw));
  await expect.poll(async () => (await scene.shard(stream)).checkpoint, slow).toBe(id);
}

it("deletes by a generated key column", async () => {
  await using scene = await createScene({});
  await scene.db.query(
    "CREATE TABLE g (a int, id int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY, _sluice_lsn bigint)",
  );
  await using _member = await scene.startMember();
  await apply(scene, { op: "c", table: "g", key: { id: 2 }, after: { a: 1 }, lsn: 10 });
  expect(await scene.db.query("SELECT id FROM g")).toEqual([{ id: 2 }]);
  await apply(scene, { op: "d", table: "g", key: { id: 2 }, lsn: 20 });
  expect(await scene.db.query("SELECT id FROM g")).toEqual([]);
});

it("compares generated keys by the change's key where deletes, late changes and unchanged large values need it", async () => {
  await using scene = await createScene({});
  await scene.db.query(
    `CREATE TABLE g (a int, body text, "odd "" name" int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY, _sluice_lsn bigint)`,
  );
  const idOf = (a: number): object => ({ 'odd " name': a * 2 });
  const add = (op: "c" | "u", a: number, body: string, lsn: number): Promise<string | null> =>
    scene.redis.xadd(
      scene.stream,
      "*",
      ...fieldsOf({ op, table: "g", key: idOf(a), after: { a, body }, lsn }),
    );
  // In one batch with a newer delete.
  await add("c", 1, "large", 20);
  await scene.redis.xadd(scene.stream, "*", ...fieldsOf({ op: "d", table: "g", key: idOf(9), lsn: 30 }));
  await add("c", 9, "too old", 25);
  await using member = await scene.startMember();
  const rows = (): Promise<object[]> => scene.db.query("SELECT a, body FROM g");
  await expect.poll(rows, slow).toEqual([{ a: 1, body: "large" }]);
  await apply(scene, {
    ...{ op: "u", table: "g", key: idOf(1), lsn: 40 },
    after: { a: 1, body: "__debezium_unavailable_value" },
  });
  expect(await rows()).toEqual([{ a: 1, body: "large" }]);
  expect(await scene.db.query("SELECT _sluice_lsn::int AS lsn FROM g")).toEqual([{ lsn: 40 }]);
  expect(member.seen.codes).toEqual([]);
});

it("updates rows whose key is GENERATED ALWAYS AS IDENTITY", async () => {
  await using scene = await createScene({});
  await scene.db.query(
    "CREATE TABLE i (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text, n int, _sluice_lsn bigint)",
  );
  await using member = await scene.startMember();
  const body = "__debezium_unavailable_value";
  const table = { table: "i", key: { id: 7 } };
  await apply(scene, { op: "c", ...table, after: { id: 7, body: "large", n: 1 }, lsn: 10 });
  await apply(scene, { op: "u", ...table, after: { id: 7, body: "larger", n: 2 }, lsn: 20 });
  await apply(scene, { op: "u", ...table, after: { id: 7, body, n: 3 }, lsn: 30 });
  expect(await scene.db.query("SELECT id::int, body, n FROM i")).toEqual([{ id: 7, body: "larger", n: 3 }]);
  expect(member.seen.codes).toEqual([]);
});

it("says so when an identity outside the key would have to change, and goes on once it may", async () => {
  await using scene = await createScene({ config: { stoppedRetryMs: 50 } });
  await scene.db.query(
    "CREATE TABLE i (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, body text, _sluice_lsn bigint)",
  );
  await using member = await scene.startMember();
  const table = { table: "i", key: { id: 1 } };
  const body = "__debezium_unavailable_value";
  await apply(scene, { op: "c", ...table, after: { id: 1, n: 5, body: "a" }, lsn: 10 });
  await apply(scene, { op: "u", ...table, after: { id: 1, n: 5, body: "b" }, lsn: 20 });
  await apply(scene, { op: "u", ...table, after: { id: 1, n: 5, body }, lsn: 30 });
  expect(await scene.db.query("SELECT n, body FROM i")).toEqual([{ n: 5, body: "b" }]);
  expect(member.seen.codes).toEqual([]);
  for (const [lsn, renewed] of [
    [40, "c"],
    [50, body],
  ] as const) {
    const id = await scene.redis.xadd(
      scene.stream,
      "*",
      ...fieldsOf({ op: "u", ...table, after: { id: 1, n: lsn, body: renewed }, lsn }),
    );
    await expect.poll(async () => (await scene.shard()).error, slow).toBe("IDENTITY_FIXED");
    await scene.db.query("ALTER TABLE i ALTER COLUMN n SET GENERATED BY DEFAULT");
    await expect.poll(async () => (await scene.shard()).checkpoint, slow).toBe(id);
    expect(await scene.db.query("SELECT n, body FROM i")).toEqual([{ n: lsn, body: "c" }]);
    await scene.db.query("ALTER TABLE i ALTER COLUMN n SET GENERATED ALWAYS");
    await expect.poll(async () => (await scene.shard()).error, slow).toBeNull();
  }
});

it("reads money alike whatever the database's own way of writing it is", async () => {
  await using scene = await createScene({});
  // With lc_monetary of most countries 12.34 is read as 1,234.00; which of them are installed differs, so the setting is looked at.
  await scene.db.query(`ALTER DATABASE ${scene.db.name} SET lc_monetary = 'POSIX'`);
  const pool = openPool({ url: scene.db.url, applicationName: "test", max: 1 });
  try {
    expect((await pool.query("SHOW lc_monetary")).rows).toEqual([{ lc_monetary: "C" }]);
  } finally {
    await pool.end();
  }
});

it.each(["insert first", "delete first"])(
  "keeps a row whose key is only written differently now, %s, on two shards",
  async (order) => {
    await using scene = await createScene({ shards: 2 });
    await scene.db.query("CREATE EXTENSION citext");
    await scene.db.query("CREATE TABLE u (email citext PRIMARY KEY, n int, _sluice_lsn bigint)");
    await using _member = await scene.startMember();
    const [left = "", right = ""] = scene.streams;
    const [old, renewed] = [{ email: "bob" }, { email: "Bob" }];
    await apply(scene, { op: "c", table: "u", key: old, after: { ...old, n: 1 }, lsn: 10 }, left);
    const halves = [
      async () =>
        apply(
          scene,
          {
            ...{ op: "c", table: "u", key: renewed, after: { ...renewed, n: 2 }, lsn: 20 },
            headers: ["__DEBEZIUM.OLDKEY", JSON.stringify(old)],
          },
          right,
        ),
      async () =>
        apply(
          scene,
          {
            ...{ op: "d", table: "u", key: old, lsn: 20 },
            headers: ["__DEBEZIUM.NEWKEY", JSON.stringify(renewed)],
          },
          left,
        ),
    ];
    for (const half of order === "insert first" ? halves : halves.toReversed()) await half();
    expect(await scene.db.query("SELECT email::text, n FROM u")).toEqual([{ email: "Bob", n: 2 }]);
  },
);

it("stops at a change by another key, though its columns are those of the changes before", async () => {
  await using scene = await createScene({ config: { stoppedRetryMs: 100 } });
  await scene.db.query("CREATE TABLE k (id int PRIMARY KEY, code text, v int, _sluice_lsn bigint)");
  await using _member = await scene.startMember();
  await apply(scene, { op: "u", table: "k", key: { id: 1 }, after: { id: 1, code: "x", v: 1 }, lsn: 10 });
  const rekeyed = { op: "u", table: "k", key: { code: "x" }, after: { id: 1, code: "x", v: 2 } } as const;
  await scene.redis.xadd(scene.stream, "*", ...fieldsOf({ ...rekeyed, lsn: 20 }));
  await expect.poll(() => scene.shard(), slow).toMatchObject({ state: "stopped", error: "KEY_MISMATCH" });
  expect(await scene.db.query("SELECT v FROM k")).toEqual([{ v: 1 }]);
});

it("copies a primary that is a read database itself, and writes positions of its own", async () => {
  await using scene = await createScene({});
  await scene.db.query("CREATE TABLE s (id int PRIMARY KEY, _sluice_lsn bigint)");
  await using _member = await scene.startMember();
  const after = { id: 1, _sluice_lsn: 7 };
  await apply(scene, { op: "c", table: "s", key: { id: 1 }, after, lsn: 10 });
  expect(await scene.db.query("SELECT id, _sluice_lsn::int FROM s")).toEqual([{ id: 1, _sluice_lsn: 10 }]);
});

it("tells tables apart whose names have dots", async () => {
  await using scene = await createScene({});
  await scene.db.query(
    `CREATE SCHEMA a; CREATE SCHEMA "a.b"; CREATE TABLE a."b.c" (id int PRIMARY KEY, v text, _sluice_lsn bigint);
     CREATE TABLE "a.b".c (id int PRIMARY KEY, v text, _sluice_lsn bigint)`,
  );
  await using _member = await scene.startMember();
  await apply(scene, {
    op: "c",
    schema: "a",
    table: "b.c",
    key: { id: 1 },
    after: { id: 1, v: "first" },
    lsn: 10,
  });
  await apply(scene, {
    op: "c",
    schema: "a.b",
    table: "c",
    key: { id: 1 },
    after: { id: 1, v: "second" },
    lsn: 20,
  });
  expect(await scene.db.query('SELECT v FROM a."b.c" UNION ALL SELECT v FROM "a.b".c')).toEqual([
    { v: "first" },
    { v: "second" },
  ]);
});

it("applies what a transaction did that was open while a snapshot was taken (I4)", async () => {
  await using scene = await createScene({});
  await scene.db.query("CREATE TABLE s (id int PRIMARY KEY, v text, _sluice_lsn bigint)");
  await using _member = await scene.startMember();
  for (const id of [1, 2]) {
    await apply(scene, { op: "r", table: "s", key: { id }, after: { id, v: "old" }, lsn: 500 });
  }
  // Logged before the snapshot, committed after it.
  await apply(scene, {
    op: "u",
    table: "s",
    key: { id: 1 },
    after: { id: 1, v: "new" },
    lsn: 400,
    commit: 600,
  });
  await apply(scene, { op: "d", table: "s", key: { id: 2 }, lsn: 410, commit: 600 });
  expect(await scene.db.query("SELECT id, v FROM s")).toEqual([{ id: 1, v: "new" }]);
});

it.each([
  ["the first after it, of which no commit is known", null],
  ["a later one", 600],
])(
  "applies what was logged below an initial snapshot and committed behind it, by a new member: %s",
  async (_, commit) => {
    await using scene = await createScene({});
    await scene.db.query("CREATE TABLE s (id int PRIMARY KEY, v text, _sluice_lsn bigint)");
    const row = (id: number, v: string): Pick<Raw, "table" | "key" | "after"> => ({
      ...{ table: "s", key: { id }, after: { id, v } },
    });
    {
      await using _member = await scene.startMember();
      for (const id of [1, 2]) await apply(scene, { op: "r", ...row(id, "old"), lsn: 500, commit: null });
    }
    await using member = await scene.startMember();
    const later = { commit, laterMs: 5 };
    await apply(scene, { op: "u", ...row(1, "new"), lsn: 400, ...later });
    await apply(scene, { op: "d", table: "s", key: { id: 2 }, lsn: 410, ...later });
    await apply(scene, { op: "u", ...row(1, "newer"), lsn: 420, ...later });
    expect(await scene.db.query("SELECT id, v FROM s")).toEqual([{ id: 1, v: "newer" }]);
    expect(member.seen.codes).toEqual([]);
    // A restored primary is noticed all the same.
    await scene.redis.xadd(
      scene.stream,
      "*",
      ...fieldsOf({ op: "u", ...row(1, "restored"), lsn: 40, laterMs: 6 }),
    );
    await expect.poll(() => scene.shard(), slow).toMatchObject({ error: "PRIMARY_REWOUND" });
  },
);

it("deletes the old row when a transaction changes a row and then its key, both logged before another's commit", async () => {
  await using scene = await createScene({});
  await scene.db.query("CREATE TABLE k (id int PRIMARY KEY, v text, _sluice_lsn bigint)");
  await using _member = await scene.startMember();
  await apply(scene, { op: "c", table: "k", key: { id: 1 }, after: { id: 1, v: "a" }, lsn: 100 });
  await apply(scene, {
    op: "u",
    table: "k",
    key: { id: 1 },
    after: { id: 1, v: "b" },
    lsn: 200,
    commit: 300,
  });
  const [old, renewed] = [JSON.stringify({ id: 1 }), JSON.stringify({ id: 2 })];
  await apply(scene, {
    ...{ op: "d", table: "k", key: { id: 1 }, lsn: 210, commit: 300 },
    headers: ["__DEBEZIUM.NEWKEY", renewed],
  });
  await apply(scene, {
    ...{ op: "c", table: "k", key: { id: 2 }, after: { id: 2, v: "b" }, lsn: 210, commit: 300 },
    headers: ["__DEBEZIUM.OLDKEY", old],
  });
  expect(await scene.db.query("SELECT id, v FROM k")).toEqual([{ id: 2, v: "b" }]);
});

it("waits for a connection as long as it takes: a slow batch of one shard is no failure of another", async () => {
  await using scene = await createScene({ shards: 2, config: { databaseConnections: 1, leaseMs: 20_000 } });
  await using member = await scene.startMember();
  for (const stream of scene.streams) {
    await scene.append(1, 5, stream);
    await scene.expectAppliedOnce(5, stream);
  }
  {
    await using held = await holdBatches(scene.db);
    for (const stream of scene.streams) await scene.append(6, 10, stream);
    await held.waiting();
    // Beyond the time after which the driver gives up waiting for a connection.
    await new Promise((resolve) => setTimeout(resolve, 6_000));
  }
  for (const stream of scene.streams) await scene.expectAppliedOnce(10, stream);
  expect(member.seen.codes).toEqual([]);
});

it("gives up a Redis that accepts a connection and says nothing", async () => {
  const silent = createServer(() => undefined).listen(0, "127.0.0.1");
  try {
    await new Promise((resolve) => silent.once("listening", resolve));
    const address = silent.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const opening = openRedis({ url: `redis://127.0.0.1:${port}`, name: "test", timeoutMs: 500 });
    await expect(opening).rejects.toMatchObject({ code: "REDIS_UNAVAILABLE" });
  } finally {
    silent.close();
  }
});
