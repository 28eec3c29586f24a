import { join } from "node:path";
import { startPostgres } from "../demo/local/postgres-cluster.ts";
import { startRedis } from "../demo/local/redis-server.ts";
import { createTempFolder } from "../demo/local/temp-folder.ts";
import { databaseUrl, execute } from "./database.ts";

/**
 * The same for every cluster. Over PostgreSQL's defaults only what keeps its own checkpoints out of a measurement, and the time
 * of each commit, from which latency is read afterwards.
 */
export const postgresSettings = {
  shared_buffers: "1GB",
  max_wal_size: "8GB",
  checkpoint_timeout: "30min",
  track_commit_timestamp: "on",
} as const;

/** The servers that all measurements of a run share. Sluice and its references write into the same cluster. */
export interface Stage extends AsyncDisposable {
  readonly folder: string;
  readonly redisUrl: string;
  /** Holds one database for each measurement. */
  readonly target: Cluster;
  /** With logical replication; started when it is first asked for. */
  publisher(): Promise<Cluster>;
}

export interface Cluster {
  readonly url: string;
  readonly folder: string;
}

export async function openStage(more: Readonly<Record<string, string>> = {}): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(createTempFolder("sluice-bench-")).path;
  const target = await startCluster(stack, join(folder, "target"), { ...postgresSettings, ...more });
  const redis = await startRedis({ folder: join(folder, "redis") });
  stack.defer(() => redis.stop());
  const started = stack.move();
  let publisher: Promise<Cluster> | undefined;
  const settings = { ...postgresSettings, wal_level: "logical" };
  return {
    folder,
    redisUrl: redis.url,
    target,
    publisher: () => (publisher ??= startCluster(started, join(folder, "publisher"), settings)),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

async function startCluster(
  stack: AsyncDisposableStack,
  folder: string,
  settings: Readonly<Record<string, string>>,
): Promise<Cluster> {
  const cluster = await startPostgres({ folder, settings });
  stack.defer(() => cluster.stop());
  return { url: cluster.url, folder };
}

/** Each measurement begins with an untouched copy of its template and nothing left to write. */
export async function freshDatabase(cluster: Cluster, template: string, suffix = "run"): Promise<string> {
  const name = `${template}_${suffix}`;
  await execute(
    cluster.url,
    `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`,
    `CREATE DATABASE ${name} TEMPLATE ${template}`,
    "CHECKPOINT",
  );
  return databaseUrl(cluster.url, name);
}

export async function createDatabase(cluster: Cluster, name: string): Promise<string> {
  await execute(cluster.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, `CREATE DATABASE ${name}`);
  return databaseUrl(cluster.url, name);
}

export async function dropDatabase(cluster: Cluster, name: string): Promise<void> {
  await execute(cluster.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
}
