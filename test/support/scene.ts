import { Redis } from "ioredis";
import { expect, inject } from "vitest";
import type { Config } from "../../src/config/config.ts";
import type { ErrorCode } from "../../src/errors/codes.ts";
import type { SluiceError } from "../../src/errors/sluice-error.ts";
import type { ProgressListener, ShardState } from "../../src/observe/progress.ts";
import { buildPipeline } from "../../src/pipeline/build.ts";
import type { Pipeline } from "../../src/pipeline/pipeline.ts";
import { createDatabase, type TestDatabase } from "./database.ts";
import { itemsPerShard, numberedEntries, numberedTables } from "./entries.ts";
import { migrated, quietProgress, testConfig } from "./member.ts";
import { createStreamPrefix } from "./stream-prefix.ts";

export interface SceneOptions {
  /** Default 1. */
  readonly shards?: number;
  /** A Redis of the test's own; default the one of all tests. */
  readonly redisUrl?: string;
  /** Likewise. */
  readonly postgresUrl?: string;
  readonly config?: Partial<Config>;
}

/** A read database and streams of one test, filled with numbered changes, and what was applied of them. */
export interface Scene extends AsyncDisposable {
  readonly db: TestDatabase;
  /** Past any fault proxy. */
  readonly redis: Redis;
  readonly config: Config;
  readonly streams: readonly string[];
  readonly stream: string;
  /** Adds the changes `from` … `to`; returns the last entry's id. */
  append(from: number, to: number, stream?: string): Promise<string>;
  /** The numbers in the order in which they were applied. */
  history(stream?: string): Promise<number[]>;
  shard(stream?: string): Promise<ShardRow>;
  /** Waits until 1 … `last` are there, and checks that each was applied once, in order, with its checkpoint. */
  expectAppliedOnce(last: number, stream?: string): Promise<void>;
  startMember(own?: Partial<Config>): Promise<RunningMember>;
}

export interface ShardRow {
  readonly checkpoint: string | null;
  readonly entries: number;
  readonly changes: number;
  readonly owner: string | null;
  readonly epoch: number;
  readonly state: ShardState;
  readonly leased: boolean;
  readonly error: ErrorCode | null;
}

export interface RunningMember extends AsyncDisposable {
  readonly pipeline: Pipeline;
  /** Codes of all failures so far, in order; `rewound` counts sessions that began at the checkpoint, `reasons` says why they did. */
  readonly seen: {
    readonly codes: readonly ErrorCode[];
    /** Entries that were read of each stream. */
    readonly read: ReadonlyMap<string, number>;
    readonly rewound: number;
    /** Entries that consumers held when a session began. */
    readonly reclaimed: number;
    readonly reasons: readonly string[];
  };
}

export async function createScene(options: SceneOptions = {}): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const redisUrl = options.redisUrl ?? inject("redisUrl");
  const db = stack.use(await createDatabase(options.postgresUrl ?? inject("postgresUrl")));
  const streams = stack.use(createStreamPrefix(redisUrl)).streams(options.shards ?? 1);
  const redis = stack.adopt(new Redis(redisUrl), (client) => client.disconnect());
  redis.on("error", () => undefined);
  await db.query(numberedTables);
  await migrated(db.url);
  const config = testConfig({ databaseUrl: db.url, redisUrl, streams, retryMaxMs: 100, ...options.config });
  const owned = stack.move();
  const stream = streams[0] ?? "";
  const scene: Scene = {
    ...{ db, redis, config, streams, stream },
    append: (from, to, into = stream) => append(redis, into, from, to),
    history: (of = stream) => history(db, of),
    shard: (of = stream) => shardRow(db, of),
    expectAppliedOnce: (last, of = stream) => expectAppliedOnce(scene, last, of),
    startMember: (own) => startMember({ ...config, ...own }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return scene;
}

async function append(redis: Redis, stream: string, from: number, to: number): Promise<string> {
  const pipeline = redis.pipeline();
  for (let number = from; number <= to; number++) {
    for (const fields of numberedEntries(stream, number)) pipeline.xadd(stream, "*", ...fields);
  }
  const replies = (await pipeline.exec()) ?? [];
  for (const [error] of replies) if (error !== null) throw error;
  return String(replies.at(-1)?.[1]);
}

async function history(db: TestDatabase, stream: string): Promise<number[]> {
  const rows = await db.query<{ number: number }>(
    "SELECT number FROM history WHERE shard = $1 ORDER BY place",
    [stream],
  );
  return rows.map((row) => row.number);
}

async function shardRow(db: TestDatabase, stream: string): Promise<ShardRow> {
  const [row] = await db.query<ShardRow>(
    `SELECT checkpoint, entries::int, (changes_applied + changes_skipped)::int AS changes, owner, epoch::int, state,
       coalesce(lease_until > clock_timestamp(), false) AS leased, last_error ->> 'code' AS error
     FROM sluice.shard WHERE stream = $1`,
    [stream],
  );
  if (row === undefined) throw new Error(`no row for ${stream}`);
  return row;
}

async function expectAppliedOnce(scene: Scene, last: number, stream: string): Promise<void> {
  const { db, redis } = scene;
  const numbers = range(1, last);
  await expect
    .poll(async () => (await scene.history(stream)).length, { timeout: 20_000, interval: 20 })
    .toBeGreaterThanOrEqual(last);
  // The last number's second change may be in a batch of its own.
  const facts = (await redis.xinfo("STREAM", stream)) as unknown[];
  // Not the last entry's, which may be trimmed already.
  const lastId = String(facts[facts.indexOf("last-generated-id") + 1]);
  await expect.poll(() => scene.shard(stream), { timeout: 10_000 }).toMatchObject({ checkpoint: lastId });
  expect(await scene.history(stream)).toEqual(numbers);
  const items = await db.query("SELECT id, number FROM item WHERE shard = $1 ORDER BY id", [stream]);
  const expected = range(0, itemsPerShard - 1).map((id) => ({
    id,
    number: numbers.findLast((number) => number % itemsPerShard === id),
  }));
  expect(items).toEqual(expected.filter((item) => item.number !== undefined));
  expect(await scene.shard(stream)).toMatchObject({ entries: 2 * last, changes: 2 * last });
}

export async function startMember(config: Config): Promise<RunningMember> {
  const codes: ErrorCode[] = [];
  const reasons: string[] = [];
  const read = new Map<string, number>();
  const seen = { codes, reasons, read, rewound: 0, reclaimed: 0 };
  const note = (error: SluiceError | undefined): void => {
    if (error !== undefined) codes.push(error.code);
  };
  const progress: ProgressListener = {
    ...quietProgress,
    entriesRead: (stream, entries) => void read.set(stream, (read.get(stream) ?? 0) + entries),
    rewound: (_stream, reason, reclaimed) => {
      seen.reclaimed += reclaimed;
      seen.rewound++;
      reasons.push(reason);
    },
    shardState: (_stream, _state, error) => note(error),
    retried: (_stage, error) => note(error),
  };
  const pipeline = buildPipeline(config, { progress, version: "test" });
  await pipeline.start();
  return {
    pipeline,
    seen,
    // A test that cares how a drain ends drains by itself; here a store may be broken on purpose.
    [Symbol.asyncDispose]: () => pipeline.drain().catch(() => undefined),
  };
}

/** Keeps batches from writing `history`: they stop in the middle, after the checkpoint's move. */
export interface HeldBatch extends AsyncDisposable {
  /** Resolves once a batch of the member stands in front of the lock; gives its session's process id. */
  waiting(member?: string): Promise<number>;
  release(): Promise<void>;
}

export async function holdBatches(db: TestDatabase): Promise<HeldBatch> {
  const client = await db.pool.connect();
  await client.query("BEGIN");
  await client.query("LOCK TABLE history IN SHARE ROW EXCLUSIVE MODE");
  let held = true;
  const release = async (): Promise<void> => {
    if (!held) return;
    held = false;
    await client.query("ROLLBACK");
    client.release();
  };
  return {
    waiting: (member = "member") => sessionThatWaits(db, member),
    release,
    [Symbol.asyncDispose]: release,
  };
}

/** The process id of the member's session that waits for a lock. */
export async function sessionThatWaits(db: TestDatabase, member: string): Promise<number> {
  let pid = 0;
  const look = async (): Promise<number> => {
    const [row] = await db.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = $1`,
      [`sluice:${member}`],
    );
    return (pid = row?.pid ?? 0);
  };
  await expect.poll(look, { timeout: 10_000, interval: 10 }).toBeGreaterThan(0);
  return pid;
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
