import { join } from "node:path";
import { startDebezium, type DebeziumServer } from "../../demo/local/debezium-server.ts";
import { startPostgres, type PostgresCluster } from "../../demo/local/postgres-cluster.ts";
import { startRedis, type RedisServer } from "../../demo/local/redis-server.ts";
import { createTempFolder } from "../../demo/local/temp-folder.ts";
import {
  runSluice,
  startSluice,
  type Environment,
  type SluiceProcess,
  type SluiceRun,
} from "./sluice-process.ts";

export interface PipelineOptions {
  readonly shards: number;
  /** Fills the primary before Debezium takes its snapshot. */
  readonly prepare?: (primaryUrl: string) => Promise<void>;
  /** For Debezium, over its defaults. */
  readonly debezium?: Environment;
}

/** Everything but sluice, each with `stop`, `kill` and, for the stores, `restart`. */
export interface RunningPipeline extends AsyncDisposable {
  readonly primary: PostgresCluster;
  readonly read: PostgresCluster;
  readonly redis: RedisServer;
  readonly primaryUrl: string;
  readonly readUrl: string;
  readonly redisUrl: string;
  readonly streams: readonly string[];
  /** What sluice is started with. */
  readonly environment: Environment;
  /** Holds logs and data until the end. */
  readonly folder: string;
  /** The one that runs now. */
  readonly debezium: DebeziumServer;
  /** After `debezium.stop()` or `kill()`: goes on from its stored offset. */
  restartDebezium(): Promise<void>;
  runSluice(args: readonly string[], env?: Environment): Promise<SluiceRun>;
  /** Stopped at the end of the pipeline, before the stores. */
  startSluice(env?: Environment): Promise<SluiceProcess>;
}

export async function startPipeline(options: PipelineOptions): Promise<RunningPipeline> {
  const owned = new AsyncDisposableStack();
  try {
    return await assemble(owned, options);
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

async function assemble(owned: AsyncDisposableStack, options: PipelineOptions): Promise<RunningPipeline> {
  const stores = await startStores(owned);
  const { primary, read, redis } = stores;
  await options.prepare?.(primary.url);
  const launch = (): Promise<DebeziumServer> => launchDebezium(owned, stores, options);
  let debezium = await launch();
  const streams = Array.from({ length: options.shards }, (_, shard) => `cdc.${shard}`);
  const environment = {
    SLUICE_REDIS_URL: redis.url,
    SLUICE_DATABASE_URL: read.url,
    SLUICE_SOURCE_URL: primary.url,
    SLUICE_STREAMS: streams.join(","),
  };
  return {
    ...stores,
    ...{ primaryUrl: primary.url, readUrl: read.url, redisUrl: redis.url, streams, environment },
    get debezium() {
      return debezium;
    },
    async restartDebezium() {
      await debezium.stop();
      debezium = await launch();
    },
    runSluice: (args, env) => runSluice(args, { ...environment, ...env }),
    async startSluice(env) {
      const logFile = join(stores.folder, "sluice.log");
      return owned.use(await startSluice({ ...environment, ...env }, logFile));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Stores {
  readonly folder: string;
  readonly primary: PostgresCluster;
  readonly read: PostgresCluster;
  readonly redis: RedisServer;
}

async function startStores(owned: AsyncDisposableStack): Promise<Stores> {
  const folder = owned.use(createTempFolder("sluice-e2e-")).path;
  const settings = { wal_level: "logical", max_connections: "200" };
  const primary = await startPostgres({ folder: join(folder, "primary"), database: "app", settings });
  owned.defer(() => primary.stop());
  const read = await startPostgres({ folder: join(folder, "read"), database: "app" });
  owned.defer(() => read.stop());
  const redis = await startRedis({ folder: join(folder, "redis") });
  owned.defer(() => redis.stop());
  return { folder, primary, read, redis };
}

async function launchDebezium(
  owned: AsyncDisposableStack,
  { folder, primary, redis }: Stores,
  options: PipelineOptions,
): Promise<DebeziumServer> {
  const server = await startDebezium({
    folder: join(folder, "debezium"),
    primary: primary.url,
    redis: `127.0.0.1:${redis.port}`,
    shards: options.shards,
    ...(options.debezium && { environment: options.debezium }),
  });
  owned.defer(() => server.stop());
  await server.waitUntilStreaming();
  return server;
}
