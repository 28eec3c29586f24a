import { join } from "node:path";
import { runToEnd } from "../../demo/local/process.ts";
import { composeImage } from "./compose-image.ts";

/** A Redis and a PostgreSQL for the live tests, wherever they come from. */
export interface Services extends AsyncDisposable {
  readonly redisUrl: string;
  /** A superuser's; tests make databases of their own in it. */
  readonly postgresUrl: string;
}

type Service = AsyncDisposable & { readonly url: string };

/** Servers named in the environment (TEST_REDIS_URL, TEST_DATABASE_URL), else containers, else programs of this machine. */
export async function services(): Promise<Services> {
  await using stack = new AsyncDisposableStack();
  const named = { redis: process.env["TEST_REDIS_URL"], postgres: process.env["TEST_DATABASE_URL"] };
  const source = named.redis && named.postgres ? undefined : await sourceOfServers(stack);
  const redisUrl = named.redis || stack.use(await required(source).redis()).url;
  const postgresUrl = named.postgres || stack.use(await required(source).postgres()).url;
  const started = stack.move();
  return { redisUrl, postgresUrl, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

interface Source {
  redis(): Promise<Service>;
  postgres(): Promise<Service>;
}

function required(source: Source | undefined): Source {
  if (source === undefined) throw new Error("no source of servers was chosen");
  return source;
}

async function sourceOfServers(stack: AsyncDisposableStack): Promise<Source> {
  return (await isDockerUp()) ? containers : localPrograms(stack);
}

async function isDockerUp(): Promise<boolean> {
  try {
    await runToEnd("docker", ["info"]);
    return true;
  } catch {
    return false;
  }
}

const containers: Source = {
  async redis() {
    const { GenericContainer } = await import("testcontainers");
    const { redisArguments, redisSettings } = await import("../../demo/local/redis-server.ts");
    const container = await new GenericContainer(composeImage("redis"))
      .withCommand(["redis-server", ...redisArguments(redisSettings)])
      .withExposedPorts(6379)
      .start();
    const url = `redis://${container.getHost()}:${container.getMappedPort(6379)}`;
    return { url, [Symbol.asyncDispose]: async () => void (await container.stop()) };
  },
  async postgres() {
    const { GenericContainer, Wait } = await import("testcontainers");
    const container = await new GenericContainer(composeImage("read-database"))
      .withEnvironment({ POSTGRES_HOST_AUTH_METHOD: "trust" })
      .withCommand(["postgres", "-c", "wal_level=logical", "-c", "max_connections=200"])
      .withExposedPorts(5432)
      // The image starts the server twice: once to initialise, once for good.
      .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
      .start();
    const url = `postgresql://postgres@${container.getHost()}:${container.getMappedPort(5432)}/postgres`;
    return { url, [Symbol.asyncDispose]: async () => void (await container.stop()) };
  },
};

async function localPrograms(stack: AsyncDisposableStack): Promise<Source> {
  const { createTempFolder } = await import("../../demo/local/temp-folder.ts");
  const folder = stack.use(createTempFolder("sluice-test-"));
  return {
    async redis() {
      const { startRedis } = await import("../../demo/local/redis-server.ts");
      const server = await startRedis({ folder: join(folder.path, "redis") });
      return { url: server.url, [Symbol.asyncDispose]: () => server.stop() };
    },
    async postgres() {
      const { startPostgres } = await import("../../demo/local/postgres-cluster.ts");
      const settings = { wal_level: "logical", max_connections: "200" };
      const cluster = await startPostgres({ folder: join(folder.path, "postgres"), settings });
      return { url: cluster.url, [Symbol.asyncDispose]: () => cluster.stop() };
    },
  };
}
