import { Redis } from "ioredis";
import { expect, inject, it } from "vitest";
import { buildPipeline } from "../../src/pipeline/build.ts";
import type { ShardStatus } from "../../src/pipeline/status.ts";
import { collectStatus } from "../../src/pipeline/status.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";
import { testConfig, migrated, quietProgress } from "../support/member.ts";
import { createStreamPrefix } from "../support/stream-prefix.ts";

const source = { schema: "public", table: "users", lsn: 100 };

function insert(id: number, table = "users", more: object = {}): string[] {
  const after = { id, name: `user ${id}`, ...more };
  const value = { before: null, after, source: { ...source, table, lsn: 100 + id }, op: "c" };
  return ["key", JSON.stringify({ id }), "value", JSON.stringify(value)];
}

async function users(db: TestDatabase): Promise<number[]> {
  return (await db.query<{ id: number }>("SELECT id FROM users ORDER BY id")).map((row) => row.id);
}

const cases: readonly [what: string, entry: string[], code: string, place: object][] = [
  [
    "a table that the read database lacks",
    insert(2, "missing"),
    "TABLE_MISSING",
    { table: "public.missing" },
  ],
  [
    "a column that the table lacks",
    insert(2, "users", { extra: 1 }),
    "COLUMN_MISSING",
    { table: "public.users", column: "extra" },
  ],
  ["an entry that is not Debezium's", ["hello", "world"], "ENTRY_NOT_DEBEZIUM", {}],
  [
    "a value out of range",
    insert(2, "users", { small: 70_000 }),
    "VALUE_INVALID",
    { table: "public.users", keyColumns: ["id"] },
  ],
  [
    "a value that is too long",
    insert(2, "users", { code: "toolong" }),
    "VALUE_INVALID",
    { table: "public.users" },
  ],
  [
    "a value finer than its column",
    insert(2, "users", { amount: "1.2345" }),
    "VALUE_INVALID",
    { table: "public.users", keyColumns: ["id"] },
  ],
  [
    "a table that is not prepared",
    insert(2, "unprepared"),
    "TABLE_NOT_PREPARED",
    { table: "public.unprepared" },
  ],
];

it.each(cases)(
  "stops at %s with code, place and remedy; keeps what came before; other shards go on",
  async (_, bad, code, place) => {
    await using db = await createDatabase(inject("postgresUrl"));
    await using own = createStreamPrefix(inject("redisUrl"));
    await db.query(
      `CREATE TABLE users (id int PRIMARY KEY, name text, small int2, code varchar(3), amount numeric(10,2),
         _sluice_lsn bigint)`,
    );
    await db.query("CREATE TABLE unprepared (id int PRIMARY KEY, name text)");
    await migrated(db.url);
    const redis = new Redis(inject("redisUrl"));
    const [first = "", second = ""] = own.streams(2);
    for (const id of [10, 11, 12]) await redis.xadd(first, "*", ...insert(id));
    const badId = await redis.xadd(first, "*", ...bad);
    await redis.xadd(first, "*", ...insert(13));
    for (const id of [20, 21]) await redis.xadd(second, "*", ...insert(id));
    const config = testConfig({
      databaseUrl: db.url,
      redisUrl: inject("redisUrl"),
      streams: [first, second],
    });
    const pipeline = buildPipeline(config, { progress: quietProgress, version: "test" });
    await pipeline.start();
    const status = async (): Promise<ShardStatus | undefined> => {
      const report = await collectStatus(config, db.pool, redis);
      return report.shards.find((shard) => shard.stream === first);
    };
    try {
      await expect.poll(status, { timeout: 20_000 }).toMatchObject({
        state: "stopped",
        lastError: {
          code,
          place: { stream: first, entryId: badId, ...place },
          remedy: expect.stringMatching(/./) as string,
        },
      });
      await expect.poll(() => users(db)).toEqual([10, 11, 12, 20, 21]);
      await redis.xadd(second, "*", ...insert(22));
      await expect.poll(() => users(db)).toContain(22);
      expect(await users(db)).not.toContain(13);
      await pipeline.drain();
      const [group] = (await redis.xinfo("GROUPS", second)) as unknown[][];
      expect(group?.slice(0, 6)).toEqual(["name", "sluice", "consumers", 0, "pending", 0]);
    } finally {
      await pipeline.drain();
      redis.disconnect();
    }
  },
);
