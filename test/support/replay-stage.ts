import { Redis } from "ioredis";
import { expect, inject } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import type { Config } from "../../src/config/config.ts";
import { createDatabase, type TestDatabase } from "./database.ts";
import { migrated, testConfig } from "./member.ts";
import { startMember } from "./scene.ts";
import { createStreamPrefix } from "./stream-prefix.ts";

export const placeholder = "__debezium_unavailable_value";

export interface Stage extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly redis: Redis;
  readonly config: Config;
  /** What the program is told by its environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly streams: readonly string[];
  readonly stream: string;
  /** Adds a change; gives its entry's id. */
  add(change: TestChange, stream?: string): Promise<string>;
  /** Runs the program with `replay …`, as it is called from a shell. */
  replay(...args: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }>;
  docs(): Promise<object[]>;
}

export interface TestChange {
  readonly op: "c" | "u" | "d" | "r" | "t";
  readonly position: number;
  /** The last commit before this one. */
  readonly commit?: number;
  readonly table?: string;
  readonly id?: number;
  readonly after?: Readonly<Record<string, unknown>>;
  readonly oldId?: number;
  readonly newId?: number;
}

export function fields(change: TestChange): string[] {
  const { op, position, commit, table = "docs", id, after, oldId, newId } = change;
  const sequence = commit === undefined ? null : JSON.stringify([String(commit), String(position)]);
  const source = { schema: "public", table, lsn: position, sequence, ts_ms: 1_700_000_000_000 };
  const row = op === "d" || op === "t" ? null : { id, ...after };
  const key = id === undefined ? "default" : JSON.stringify({ id });
  return [
    ...["key", key, "value", JSON.stringify({ before: null, after: row, source, op })],
    ...(oldId === undefined ? [] : ["__DEBEZIUM.OLDKEY", JSON.stringify({ id: oldId })]),
    ...(newId === undefined ? [] : ["__DEBEZIUM.NEWKEY", JSON.stringify({ id: newId })]),
  ];
}

export async function createStage(own: Partial<Config> = {}, shards = 1): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const redisUrl = inject("redisUrl");
  const db = stack.use(await createDatabase(inject("postgresUrl")));
  const streams = stack.use(createStreamPrefix(redisUrl)).streams(shards);
  const redis = stack.adopt(new Redis(redisUrl), (client) => client.disconnect());
  await db.query(
    `CREATE TABLE docs (id int PRIMARY KEY, title text, body text, _sluice_lsn bigint);
     CREATE TABLE log (line text, _sluice_lsn bigint)`,
  );
  await migrated(db.url);
  const config = testConfig({ databaseUrl: db.url, redisUrl, streams, retryMaxMs: 100, ...own });
  const env = {
    SLUICE_DATABASE_URL: db.url,
    SLUICE_REDIS_URL: redisUrl,
    SLUICE_STREAMS: streams.join(","),
    SLUICE_BATCH_ENTRIES: String(config.batchEntries),
  };
  const owned = stack.move();
  const stream = streams[0] ?? "";
  return {
    ...{ db, redis, config, env, streams, stream },
    add: async (change, into = stream) => String(await redis.xadd(into, "*", ...fields(change))),
    replay: async (...args) => {
      const said = { out: "", err: "" };
      const code = await runProgram(["replay", ...args], {
        out: (text) => void (said.out += text),
        err: (text) => void (said.err += text),
        env,
      });
      return { code, ...said };
    },
    docs: () => db.query("SELECT id, title, body FROM docs ORDER BY id"),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Applies what is in the streams as the service does. */
export async function applied(stage: Stage): Promise<void> {
  await using _member = await startMember(stage.config);
  await caughtUp(stage);
}

export async function caughtUp({ redis, db, streams }: Stage): Promise<void> {
  for (const stream of streams) {
    const [[last] = [""]] = await redis.xrevrange(stream, "+", "-", "COUNT", 1);
    if (last === "") continue;
    const checkpoint = async (): Promise<unknown> =>
      (
        await db.query<{ checkpoint: string }>("SELECT checkpoint FROM sluice.shard WHERE stream = $1", [
          stream,
        ])
      )[0]?.checkpoint;
    await expect.poll(checkpoint, { timeout: 30_000, interval: 20 }).toBe(last);
  }
}

export async function threeDocs(stage: Stage): Promise<string[]> {
  const ids: string[] = [];
  for (const id of [1, 2, 3])
    ids.push(await stage.add({ op: "c", id, position: id * 10, after: { title: "old", body: "b" } }));
  for (const id of [1, 2, 3])
    ids.push(
      await stage.add({
        op: "u",
        id,
        position: 100 + id,
        after: { title: `title ${id}`, body: `body ${id}` },
      }),
    );
  ids.push(await stage.add({ op: "d", id: 3, position: 200 }));
  return ids;
}

export const restored = [
  { id: 1, title: "title 1", body: "body 1" },
  { id: 2, title: "title 2", body: "body 2" },
];

/** Keeps everyone from writing `docs` until it is released. */
export async function holdDocs(db: TestDatabase): Promise<AsyncDisposable> {
  const client = await db.pool.connect();
  await client.query("BEGIN; LOCK TABLE docs IN SHARE ROW EXCLUSIVE MODE");
  return {
    [Symbol.asyncDispose]: async () => {
      await client.query("ROLLBACK");
      client.release();
    },
  };
}

export async function sessionLike(db: TestDatabase, name: string): Promise<void> {
  const look = async (): Promise<number> =>
    (
      await db.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name LIKE $1`,
        [name],
      )
    ).length;
  await expect.poll(look, { timeout: 10_000, interval: 10 }).toBeGreaterThan(0);
}
