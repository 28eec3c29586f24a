import { join } from "node:path";
import { startDebezium, type DebeziumServer } from "../../demo/local/debezium-server.ts";
import { startPostgres, type PostgresCluster } from "../../demo/local/postgres-cluster.ts";
import { startRedis, type RedisServer } from "../../demo/local/redis-server.ts";
import { createTempFolder } from "../../demo/local/temp-folder.ts";

export interface PipelineOptions {
  readonly shards: number;
  /** Fills the primary before Debezium takes its snapshot. */
  readonly prepare?: (primaryUrl: string) => Promise<void>;
  /** For Debezium, over its defaults. */
  readonly debezium?: Readonly<Record<string, string>>;
}

export interface RunningPipeline extends AsyncDisposable {
  readonly primaryUrl: string;
  readonly readUrl: string;
  readonly redisUrl: string;
  readonly primary: PostgresCluster;
  readonly read: PostgresCluster;
  readonly redis: RedisServer;
  readonly debezium: DebeziumServer;
  readonly streams: readonly string[];
  /** What sluice is to be started with. */
  readonly environment: Readonly<Record<string, string>>;
  /** Holds logs and data until the end. */
  readonly folder: string;
}

/** Everything but sluice: the two databases, Redis, and a Debezium Server that streams. */
export async function startPipeline(options: PipelineOptions): Promise<RunningPipeline> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(createTempFolder("sluice-pipeline-")).path;
  const settings = { wal_level: "logical" };
  const primary = await startPostgres({ folder: join(folder, "primary"), settings });
  stack.defer(() => primary.stop());
  const read = await startPostgres({ folder: join(folder, "read") });
  stack.defer(() => read.stop());
  const redis = await startRedis({ folder: join(folder, "redis"), appendfsync: "always" });
  stack.defer(() => redis.stop());
  await options.prepare?.(primary.url);
  const debezium = await startDebezium({
    folder: join(folder, "debezium"),
    primary: primary.url,
    redis: `127.0.0.1:${redis.port}`,
    shards: options.shards,
    ...(options.debezium === undefined ? {} : { environment: options.debezium }),
  });
  stack.defer(() => debezium.stop());
  await debezium.waitUntilStreaming();
  const started = stack.move();
  return {
    ...{ primary, read, redis, debezium, folder },
    ...addresses(primary.url, read.url, redis.url, options.shards),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

function addresses(primaryUrl: string, readUrl: string, redisUrl: string, shards: number) {
  const streams = Array.from({ length: shards }, (_, shard) => `cdc.${shard}`);
  const environment = {
    SLUICE_REDIS_URL: redisUrl,
    SLUICE_DATABASE_URL: readUrl,
    SLUICE_SOURCE_URL: primaryUrl,
    SLUICE_STREAMS: streams.join(","),
  };
  return { primaryUrl, readUrl, redisUrl, streams, environment };
}
