import { join } from "node:path";
import { Redis } from "ioredis";
import pg from "pg";
import { startPostgres, type PostgresCluster } from "../../demo/local/postgres-cluster.ts";
import { startRedis, type RedisServer } from "../../demo/local/redis-server.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { runSluice } from "../support/sluice-process.ts";
import { DatabaseAdmin } from "./database-admin.ts";
import type { Findings } from "./findings.ts";
import { Load } from "./load.ts";
import { MemberSlot } from "./member-slot.ts";
import { tables, watchSchema } from "./tables.ts";

export const memberCount = 3;
export const shardCount = 8;
export const leaseMs = 2_000;
export const group = "sluice";

/** Short times, so that leases run out, streams are trimmed and shards are tried again many times within minutes. */
const settings = {
  SLUICE_STREAMS: `cdc.{0..${shardCount - 1}}`,
  SLUICE_GROUP: group,
  SLUICE_LEASE: `${leaseMs}ms`,
  SLUICE_MAINTENANCE_INTERVAL: "1s",
  SLUICE_RETAIN_AGE: "1s",
  SLUICE_BATCH_ENTRIES: "50",
  SLUICE_READ_BLOCK: "500ms",
  SLUICE_RETRY_MAX: "500ms",
  SLUICE_STOPPED_RETRY: "500ms",
  SLUICE_DRAIN_DEADLINE: "10s",
};

/** A batch that was committed without waiting for the disk stays in memory, where a crash finds it. */
const lateFlush = { wal_writer_delay: "10s", wal_writer_flush_after: "1GB" };

/** Two servers, the places of four members, and the load. Nothing runs in the fourth place but for a while. */
export interface Stage extends AsyncDisposable {
  readonly folder: string;
  readonly findings: Findings;
  readonly redisServer: RedisServer;
  readonly postgres: PostgresCluster;
  /** Past the proxies, like everything else here; waits for a Redis that is down. */
  readonly redis: Redis;
  readonly database: DatabaseAdmin;
  readonly slots: readonly MemberSlot[];
  readonly streams: readonly string[];
  readonly load: Load;
}

export interface StageOptions {
  readonly folder: string;
  readonly seed: number;
  readonly findings: Findings;
}

export async function openStage({ folder, seed, findings }: StageOptions): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const redisServer = await startRedis({ folder: join(folder, "redis"), appendfsync: "always" });
  stack.defer(() => redisServer.stop());
  const postgres = await startPostgres({
    folder: join(folder, "postgres"),
    database: "read",
    settings: lateFlush,
  });
  stack.defer(() => postgres.stop());
  const databaseUrl = await prepareDatabase(postgres);
  const redis = stack.adopt(openAdmin(redisServer.url), (client) => client.disconnect());
  const database = stack.use(new DatabaseAdmin(postgres.url));
  const streams = Array.from({ length: shardCount }, (_, shard) => `cdc.${shard}`);
  const load = stack.adopt(new Load({ redisUrl: redisServer.url, streams, seed }), (each) => each.close());
  const slots: MemberSlot[] = [];
  for (let index = 0; index <= memberCount; index++) {
    const proxies = {
      redis: stack.use(await startFaultProxy(redisServer.url)),
      database: stack.use(await startFaultProxy(databaseUrl)),
    };
    const slot = new MemberSlot({ index, ...proxies, environment: settings, folder, findings });
    stack.defer(() => slot.kill());
    slots.push(slot);
  }
  const opened = stack.move();
  return {
    ...{ folder, findings, redisServer, postgres, redis, database, slots, streams, load },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Waits for a Redis that is down, but for no answer that never comes: the client may not settle what a broken connection has asked. */
function openAdmin(url: string): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: null,
    commandTimeout: 10_000,
    retryStrategy: () => 100,
  });
  redis.on("error", () => undefined);
  return redis;
}

/** Members use a role that owns their database and is no superuser. Returns its address. */
async function prepareDatabase(postgres: PostgresCluster): Promise<string> {
  const address = new URL(postgres.url);
  address.username = "sluice";
  await execute(
    postgres.url,
    "CREATE ROLE sluice LOGIN; ALTER DATABASE read OWNER TO sluice; GRANT ALL ON SCHEMA public TO sluice",
  );
  await execute(address.href, tables);
  const migrated = await runSluice(["migrate"], { SLUICE_DATABASE_URL: address.href });
  if (migrated.code !== 0) throw new Error(`sluice migrate: exit ${migrated.code}\n${migrated.stderr}`);
  await execute(postgres.url, watchSchema);
  return address.href;
}

async function execute(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}
