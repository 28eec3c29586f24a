import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPostgres } from "../../demo/local/postgres-cluster.ts";
import { startRedis } from "../../demo/local/redis-server.ts";

export interface Services {
  readonly redisUrl: string;
  /** Of a superuser. */
  readonly postgresUrl: string;
  stop(): Promise<void>;
}

/** Servers named by the environment, else containers, else programs of this machine. */
export async function services(): Promise<Services> {
  const redisUrl = process.env["TEST_REDIS_URL"];
  const postgresUrl = process.env["TEST_DATABASE_URL"];
  if (redisUrl !== undefined && postgresUrl !== undefined) {
    return { redisUrl, postgresUrl, stop: async () => undefined };
  }
  if (redisUrl !== undefined || postgresUrl !== undefined) {
    throw new Error("set both TEST_REDIS_URL and TEST_DATABASE_URL, or neither");
  }
  return dockerAnswers() ? inContainers() : fromPrograms();
}

function dockerAnswers(): boolean {
  return spawnSync("docker", ["info"], { stdio: "ignore", timeout: 10_000 }).status === 0;
}

async function inContainers(): Promise<Services> {
  const { GenericContainer, Wait } = await import("testcontainers");
  await using stack = new AsyncDisposableStack();
  const redis = await new GenericContainer("redis:7.4")
    .withCommand(["redis-server", "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"])
    .withExposedPorts(6379)
    .start();
  stack.defer(async () => void (await redis.stop()));
  const postgres = await new GenericContainer("postgres:17")
    .withEnvironment({ POSTGRES_HOST_AUTH_METHOD: "trust" })
    .withCommand(["postgres", "-c", "wal_level=logical"])
    .withExposedPorts(5432)
    // The image starts the server twice: the first one only to set the database up.
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
    .start();
  stack.defer(async () => void (await postgres.stop()));
  const started = stack.move();
  return {
    redisUrl: `redis://${redis.getHost()}:${redis.getMappedPort(6379)}`,
    postgresUrl: `postgresql://postgres@${postgres.getHost()}:${postgres.getMappedPort(5432)}/postgres`,
    stop: () => started.disposeAsync(),
  };
}

async function fromPrograms(): Promise<Services> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const settings = { wal_level: "logical", max_connections: "200" };
  const postgres = await startPostgres({ folder: join(folder, "postgres"), settings });
  stack.defer(() => postgres.stop());
  const redis = await startRedis({ folder: join(folder, "redis") });
  stack.defer(() => redis.stop());
  const started = stack.move();
  return { redisUrl: redis.url, postgresUrl: postgres.url, stop: () => started.disposeAsync() };
}
