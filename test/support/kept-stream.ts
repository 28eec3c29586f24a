import { Redis } from "ioredis";
import pg from "pg";
import { inject } from "vitest";
import type { Config } from "../../src/config/config.ts";
import type { ErrorCode } from "../../src/errors/codes.ts";
import { Maintenance, type OwnedShard } from "../../src/maintenance/maintenance.ts";
import type { ProgressListener, Warning } from "../../src/observe/progress.ts";
import { createDatabase, type TestDatabase } from "./database.ts";
import { migrated, quietProgress, testConfig } from "./member.ts";
import { createStreamPrefix } from "./stream-prefix.ts";

/** A stream and its row in the read database, in any state that a test wants, and maintenance that runs when the test says so. */
export interface KeptStream extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly redis: Redis;
  readonly stream: string;
  /** Another stream name of the test's own. */
  readonly otherStream: string;
  readonly config: Config;
  /** Adds entries, the last one `agoMs` ago and the others right before it; returns their ids. */
  add(count: number, agoMs?: number, stream?: string): Promise<string[]>;
  /** As if a member had applied and settled the first `count` of the ids. */
  applied(ids: readonly string[], count: number): Promise<void>;
  left(stream?: string): Promise<string[]>;
  /** Maintenance of a member that owns the stream. */
  maintenance(own?: Partial<Config>, owned?: readonly OwnedShard[]): ToldMaintenance;
}

export interface ToldMaintenance {
  readonly maintenance: Maintenance;
  readonly began: Warning[];
  readonly trimmed: Map<string, number>;
  /** Codes of rounds that failed. */
  readonly failed: ErrorCode[];
}

export async function createKeptStream(redisUrl = inject("redisUrl")): Promise<KeptStream> {
  await using stack = new AsyncDisposableStack();
  const db = stack.use(await createDatabase(inject("postgresUrl")));
  const [stream = "", otherStream = ""] = stack.use(createStreamPrefix(redisUrl)).streams(2);
  const redis = stack.adopt(new Redis(redisUrl), (client) => client.disconnect());
  await migrated(db.url);
  const config = testConfig({ databaseUrl: db.url, redisUrl, streams: [stream], retainAgeMs: 0 });
  await db.query("INSERT INTO sluice.shard (pipeline, stream) VALUES ('default', $1)", [stream]);
  const owned = stack.move();
  return {
    ...{ db, redis, stream, otherStream, config },
    add: (count, agoMs = 0, into = stream) => add(redis, into, count, Date.now() - agoMs),
    applied: async (ids, count) => {
      const checkpoint = ids[count - 1];
      await db.query("UPDATE sluice.shard SET checkpoint = $2, entries = $3 WHERE stream = $1", [
        stream,
        checkpoint,
        count,
      ]);
      await redis.xgroup("CREATE", stream, config.group, "0").catch(() => undefined);
      await redis.xgroup("SETID", stream, config.group, checkpoint ?? "0");
    },
    left: async (of = stream) => (await redis.xrange(of, "-", "+")).map(([id]) => id),
    maintenance: (
      own = {},
      shards = [{ stream, isRead: true, removeConsumers: () => undefined, countDeleted: () => undefined }],
    ) => {
      const pool = owned.adopt(new pg.Pool({ connectionString: db.url, max: 2 }), (each) => each.end());
      const told = tellTo({ ...config, ...own }, pool, shards);
      owned.defer(() => told.maintenance.stop());
      return told;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function add(redis: Redis, stream: string, count: number, lastMs: number): Promise<string[]> {
  const pipeline = redis.pipeline();
  const ids = Array.from(
    { length: count },
    (_, index) => `${lastMs - Math.floor((count - 1 - index) / 10)}-${1 + (index % 10)}`,
  );
  for (const id of ids) pipeline.xadd(stream, id, "value", "x".repeat(100));
  for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
  return ids;
}

function tellTo(config: Config, database: pg.Pool, owned: readonly OwnedShard[]): ToldMaintenance {
  const began: Warning[] = [];
  const trimmed = new Map<string, number>();
  const failed: ErrorCode[] = [];
  const progress: ProgressListener = {
    ...quietProgress,
    retried: (_stage, error) => void failed.push(error.code),
    warningBegan: (warning) => void began.push(warning),
    entriesTrimmed: (stream, entries) => void trimmed.set(stream, (trimmed.get(stream) ?? 0) + entries),
  };
  const maintenance = new Maintenance({ config, database, owned: () => owned, progress });
  return { maintenance, began, trimmed, failed };
}
