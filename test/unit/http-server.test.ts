import { afterEach, expect, test } from "vitest";
import { SluiceError } from "../../src/errors/sluice-error.ts";
import { startHttpServer, type HttpServer } from "../../src/observe/http-server.ts";
import type { PipelineHealth } from "../../src/pipeline/pipeline.ts";
import type { StatusReport } from "../../src/pipeline/status.ts";

const healthy: PipelineHealth = {
  registered: true,
  draining: false,
  tickAgeMs: 5,
  redisReachable: true,
  databaseReachable: true,
};
const report: StatusReport = {
  pipeline: "p",
  collectedAt: "2026-01-01T00:00:00.000Z",
  members: [],
  shards: [],
  warnings: [],
};

const servers: HttpServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function serve(
  health: () => PipelineHealth = () => healthy,
  status: () => Promise<StatusReport> = async () => report,
): Promise<(path: string, method?: string) => Promise<Response>> {
  const server = await startHttpServer("127.0.0.1:0", { health, status, metrics: async () => "a 1\n" });
  servers.push(server);
  return (path, method = "GET") => fetch(`http://${server.address}${path}`, { method });
}

test("every route answers 200 when all is well", async () => {
  const get = await serve();
  for (const path of ["/livez", "/readyz", "/startupz", "/healthz", "/status", "/metrics"]) {
    expect([path, (await get(path)).status]).toEqual([path, 200]);
  }
  expect(await (await get("/status")).json()).toEqual(report);
  expect(await (await get("/metrics")).text()).toBe("a 1\n");
});

test.each([
  ["not registered", { registered: false }],
  ["draining", { draining: true }],
  ["Redis is not", { redisReachable: false }],
  ["read database is not", { databaseReachable: false }],
])("/readyz is 503 with the reason: %s", async (reason, change) => {
  const get = await serve(() => ({ ...healthy, ...change }));
  const response = await get("/readyz");
  expect(response.status).toBe(503);
  expect(await response.text()).toContain(reason);
  expect((await get("/livez")).status).toBe(200);
});

test("/livez is 503 only when the supervisor has not turned for 30 s", async () => {
  let tickAgeMs = 30_000;
  const get = await serve(() => ({ ...healthy, tickAgeMs }));
  expect((await get("/livez")).status).toBe(200);
  tickAgeMs = 30_001;
  expect((await get("/livez")).status).toBe(503);
});

test("/startupz stays 200 after the first success", async () => {
  let registered = false;
  const get = await serve(() => ({ ...healthy, registered }));
  expect((await get("/startupz")).status).toBe(503);
  registered = true;
  expect((await get("/startupz")).status).toBe(200);
  registered = false;
  expect((await get("/startupz")).status).toBe(200);
});

test("?verbose names the checks", async () => {
  const get = await serve();
  expect(await (await get("/readyz?verbose")).json()).toMatchObject({
    checks: { redis: "ok", database: "ok" },
  });
});

test("unknown routes are 404, writing is 405, a status that cannot be read is 503 with its code", async () => {
  const get = await serve(undefined, () => Promise.reject(new SluiceError("DATABASE_UNAVAILABLE", "down")));
  expect((await get("/nothing")).status).toBe(404);
  expect((await get("/status", "POST")).status).toBe(405);
  const response = await get("/status");
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ error: { code: "DATABASE_UNAVAILABLE" } });
});

test("an address in use is a mistake in the configuration", async () => {
  const first = await startHttpServer("127.0.0.1:0", {
    health: () => healthy,
    status: async () => report,
    metrics: async () => "",
  });
  servers.push(first);
  const second = startHttpServer(first.address, {
    health: () => healthy,
    status: async () => report,
    metrics: async () => "",
  });
  await expect(second).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});
