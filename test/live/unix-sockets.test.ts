import { join } from "node:path";
import { expect, it } from "vitest";
import { startPostgres } from "../../demo/local/postgres-cluster.ts";
import { startRedis } from "../../demo/local/redis-server.ts";
import { createTempFolder } from "../../demo/local/temp-folder.ts";
import { createScene } from "../support/scene.ts";

it("reaches Redis and the read database by their Unix-domain sockets", async () => {
  await using stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(createTempFolder("sluice-test-"));
  const socket = join(folder, "redis.sock");
  const redis = await startRedis({ folder: join(folder, "redis"), socket });
  stack.defer(() => redis.stop());
  const postgres = await startPostgres({ folder: join(folder, "postgres") });
  stack.defer(() => postgres.stop());
  const scene = stack.use(await createScene({ redisUrl: redis.url, postgresUrl: postgres.url, shards: 2 }));
  const database = new URL(scene.db.url).pathname;
  for (const stream of scene.streams) await scene.append(1, 300, stream);
  stack.use(
    await scene.startMember({
      redisUrl: `redis://localhost/0?path=${socket}`,
      databaseUrl: `postgresql://postgres@localhost:${postgres.port}${database}?host=${join(folder, "postgres")}`,
    }),
  );
  for (const stream of scene.streams) await scene.expectAppliedOnce(300, stream);
  const [backends] = await scene.db.query<{ local: number; tcp: number }>(
    `SELECT count(*) FILTER (WHERE client_addr IS NULL)::int AS local, count(client_addr)::int AS tcp
     FROM pg_stat_activity WHERE application_name LIKE 'sluice%'`,
  );
  expect(backends?.tcp).toBe(0);
  expect(backends?.local).toBeGreaterThan(0);
  const clients = String(await scene.redis.call("CLIENT", "LIST"))
    .split("\n")
    .filter((line) => line.includes(" name=sluice:"));
  expect(clients.length).toBeGreaterThan(0);
  for (const line of clients) expect(line).toContain(` addr=${socket}:0 `);
});
