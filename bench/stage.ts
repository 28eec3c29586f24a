import { existsSync } from "node:fs";
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
  /** By which URL of a server those reach it that are measured: another one when that is by its socket. */
  reach(url: string): string;
  /** Holds one database for each measurement. */
  readonly target: Cluster;
  /** With logical replication; started when it is first asked for. */
  publisher(): Promise<Cluster>;
}

export interface Cluster {
  readonly url: string;
  readonly folder: string;
}

export interface StageOptions {
  /** Those that are measured reach the servers by Unix-domain sockets instead of TCP. */
  readonly sockets: boolean;
  /** Settings of the cluster that is written into, beside those of all. */
  readonly more?: Readonly<Record<string, string>>;
}

export async function openStage({ sockets, more = {} }: StageOptions): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(createTempFolder("sluice-bench-")).path;
  const target = await startCluster(stack, join(folder, "target"), { ...postgresSettings, ...more });
  const redisSocket = join(folder, "redis.sock");
  const redis = await startRedis({ folder: join(folder, "redis"), socket: redisSocket });
  stack.defer(() => redis.stop());
  const started = stack.move();
  let publisher: Promise<Cluster> | undefined;
  const settings = { ...postgresSettings, wal_level: "logical" };
  return {
    folder,
    redisUrl: redis.url,
    reach: (url) => (sockets ? socketUrl(url, { folder, redisSocket }) : url),
    target,
    publisher: () => (publisher ??= startCluster(started, join(folder, "publisher"), settings)),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** Each cluster's socket is in its folder, and its name has the port in it. */
function socketUrl(url: string, { folder, redisSocket }: { folder: string; redisSocket: string }): string {
  if (url.startsWith("redis:")) return `redis://localhost/0?path=${redisSocket}`;
  const { pathname, port } = new URL(url);
  const cluster = ["target", "publisher"].find((name) => existsSync(join(folder, name, `.s.PGSQL.${port}`)));
  if (cluster === undefined) throw new Error(`there is no socket of the server at ${port}`);
  return `postgresql://postgres@localhost:${port}${pathname}?host=${join(folder, cluster)}`;
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
