import { Redis } from "ioredis";
import { expect, inject, it } from "vitest";
import { freePort } from "../../demo/local/free-port.ts";
import type { StatusReport } from "../../src/pipeline/status.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";
import { entryFields } from "../support/entries.ts";
import { runSluice, startSluice, type Environment } from "../support/sluice-process.ts";
import { createStreamPrefix } from "../support/stream-prefix.ts";

/** The built program's commands, from their arguments to their exit codes and what they print. */

interface Stage extends AsyncDisposable {
  readonly primary: TestDatabase;
  readonly read: TestDatabase;
  readonly redis: Redis;
  readonly streams: readonly string[];
  readonly environment: Environment;
}

/** A primary with one table, streams with one of its rows, and a read database in which nothing was done yet. */
async function createStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const redisUrl = inject("redisUrl");
  const primary = stack.use(await createDatabase(inject("postgresUrl")));
  const read = stack.use(await createDatabase(inject("postgresUrl")));
  const streams = stack.use(createStreamPrefix(redisUrl)).streams(2);
  const redis = stack.adopt(new Redis(redisUrl), (client) => client.disconnect());
  await primary.query("CREATE TABLE users (id int PRIMARY KEY, name text)");
  await primary.query("CREATE PUBLICATION sluice FOR ALL TABLES");
  for (const [id, stream] of streams.entries()) {
    const row = { table: "users", key: { id }, after: { id, name: "x" }, position: 100 + id };
    await redis.xadd(stream, "*", ...entryFields({ op: "c", ...row }));
  }
  const environment = {
    SLUICE_REDIS_URL: redisUrl,
    SLUICE_DATABASE_URL: read.url,
    SLUICE_SOURCE_URL: primary.url,
    SLUICE_STREAMS: streams.join(","),
    SLUICE_HTTP_ADDRESS: `127.0.0.1:${await freePort()}`,
  };
  const owned = stack.move();
  return {
    ...{ primary, read, redis, streams, environment },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function migrated(stage: Stage): Promise<void> {
  expect(await runSluice(["migrate", "--from-source"], stage.environment)).toMatchObject({ code: 0 });
}

interface CheckReport {
  readonly ok: boolean;
  readonly findings: readonly { readonly level: string; readonly what: string; readonly remedy?: string }[];
}

/** The JSON, which must say what the lines say. */
async function checked(environment: Environment): Promise<CheckReport & { readonly code: number | null }> {
  const lines = await runSluice(["check"], environment);
  const json = await runSluice(["check", "--json"], environment);
  const report = JSON.parse(json.stdout) as CheckReport;
  const expected = report.findings.map(
    ({ level, what, remedy }) =>
      `${level.padEnd(4)}  ${what}\n${remedy === undefined ? "" : `      remedy: ${remedy}\n`}`,
  );
  expect(lines).toEqual({ code: json.code, stdout: expected.join(""), stderr: "" });
  return { ...report, code: json.code };
}

const told = expect.stringMatching(/\.$/) as string;
const containing = (text: string): string => expect.stringContaining(text) as string;

it("check exits 0 and names what it looked at when nothing is in the way", async () => {
  await using stage = await createStage();
  await migrated(stage);
  const { code, ok, findings } = await checked(stage.environment);
  expect(findings.filter(({ level }) => level !== "ok")).toEqual([]);
  expect({ code, ok }).toEqual({ code: 0, ok: true });
  const whats = findings.map(({ what }) => what);
  expect(whats).toEqual(
    expect.arrayContaining([
      containing("Redis 7"),
      "Redis lets the user default do what run does",
      `stream ${stage.streams[0]}: 1 entries`,
      "primary: wal_level logical",
      "primary: publication sluice",
      containing("read database: PostgreSQL"),
      "bookkeeping schema",
      "table public.users",
    ]),
  );
});

it("check exits 3 on a database without the bookkeeping schema, and says how to get it", async () => {
  await using stage = await createStage();
  const { code, ok, findings } = await checked(stage.environment);
  expect({ code, ok }).toEqual({ code: 3, ok: false });
  expect(findings.filter(({ level }) => level === "fail")).toMatchObject([
    { what: containing("bookkeeping schema"), remedy: containing("sluice migrate") },
    { what: "table public.users: missing in the read database", remedy: containing("--from-source") },
  ]);
});

it("check exits 3 when Redis cannot be reached, and looks at the rest all the same", async () => {
  await using stage = await createStage();
  await migrated(stage);
  const nowhere = `redis://127.0.0.1:${await freePort()}`;
  const { code, findings } = await checked({ ...stage.environment, SLUICE_REDIS_URL: nowhere });
  expect(code).toBe(3);
  expect(findings.filter(({ level }) => level === "fail")).toEqual([
    { level: "fail", what: containing("Redis is not available"), remedy: containing("SLUICE_REDIS_URL") },
  ]);
  expect(findings.map(({ what }) => what)).toContain("table public.users");
});

it("check warns of a primary that publishes nothing", async () => {
  await using stage = await createStage();
  await migrated(stage);
  await stage.primary.query("DROP PUBLICATION sluice");
  const { code, findings } = await checked(stage.environment);
  expect(code).toBe(0);
  expect(findings.filter(({ level }) => level !== "ok")).toEqual([
    { level: "warn", what: "primary: there is no publication", remedy: told },
  ]);
});

/** What docs/guides/operating.md gives sluice's user in Redis, but for the keys. */
const granted =
  "+ping +time +info +multi +exec +xread +xrange +xinfo +xpending +xgroup +xtrim +unlink +memory|usage +config|get";

it.each([
  ["commands that it needs", "-xtrim -xgroup|setid", "", ["XGROUP SETID", "XTRIM"]],
  ["keys of a shard", "", "0", ["XREAD", "XGROUP CREATE", "UNLINK"]],
])("check exits 3 when Redis refuses %s, and names them", async (_, taken, keys, refused) => {
  await using stage = await createStage();
  await migrated(stage);
  await using user = await createUser(stage, `${granted} +acl ${taken}`, keys);
  const { code, findings } = await checked({ ...stage.environment, SLUICE_REDIS_URL: user.url });
  expect(code).toBe(3);
  const [finding] = findings.filter(({ what }) => what.includes(user.name));
  expect(finding).toMatchObject({ level: "fail", remedy: told });
  for (const command of refused) expect(finding?.what).toContain(`${command} on `);
  const [first = "", second = ""] = stage.streams;
  expect(finding?.what.includes(first)).toBe(keys === "");
  expect(finding?.what).toContain(second);
});

it("a member runs, maintains and leaves its streams with the commands that the guide names, and check does without asking", async () => {
  await using stage = await createStage();
  await migrated(stage);
  await using user = await createUser(stage, granted);
  const environment = { ...stage.environment, SLUICE_REDIS_URL: user.url };
  const { findings } = await checked(environment);
  expect(findings.filter(({ what }) => what.includes(user.name))).toEqual([]);
  await using sluice = await startSluice({
    ...environment,
    SLUICE_RETAIN_AGE: "0s",
    SLUICE_MAINTENANCE_INTERVAL: "1s",
  });
  await sluice.waitReady();
  await expect.poll(() => stage.read.query("SELECT id FROM users ORDER BY id"), slow).toHaveLength(2);
  const lengths = (): Promise<number[]> =>
    Promise.all(stage.streams.map((stream) => stage.redis.xlen(stream)));
  await expect.poll(lengths, slow).toEqual([0, 0]);
  expect(await sluice.stop()).toMatchObject({ code: 0 });
  expect(sluice.log()).not.toContain("NOPERM");
});

interface RedisUser extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
}

/** `keys`: the last part of the streams' names that the user may touch; default all of them. */
async function createUser(stage: Stage, rules: string, keys = ""): Promise<RedisUser> {
  const [stream = ""] = stage.streams;
  const prefix = stream.slice(0, stream.lastIndexOf(".") + 1);
  const name = `user-${prefix}`;
  await stage.redis.call(
    "ACL",
    "SETUSER",
    name,
    "on",
    ">secret",
    `~${prefix}${keys || "*"}`,
    ...rules.split(" ").filter(Boolean),
  );
  const url = new URL(inject("redisUrl"));
  url.username = name;
  url.password = "secret";
  return {
    name,
    url: url.href,
    [Symbol.asyncDispose]: async () => void (await stage.redis.call("ACL", "DELUSER", name)),
  };
}

it.each([
  ["without the bookkeeping schema", undefined, "SCHEMA_MISSING", "sluice migrate"],
  [
    "with one that a newer version wrote",
    "INSERT INTO sluice.migration (version, name) VALUES (9999, 'future')",
    "SCHEMA_TOO_NEW",
    "newer version",
  ],
])("run and migrate end with 4 on a database %s", async (_, sql, errorCode, remedy) => {
  await using stage = await createStage();
  if (sql !== undefined) {
    await migrated(stage);
    await stage.read.query(sql);
    const migrating = await runSluice(["migrate"], stage.environment);
    expect(migrating).toMatchObject({ code: 4, stdout: "", stderr: containing(`error ${errorCode}`) });
  }
  const { code, stdout, stderr } = await runSluice(["run"], stage.environment);
  expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
  const last = JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "") as object;
  expect(last).toMatchObject({
    level: "fatal",
    event: "failed",
    err: { code: errorCode, remedy: containing(remedy) },
  });
  // Nothing was registered, so nothing was written.
  if (sql !== undefined) expect(await stage.read.query("SELECT FROM sluice.member")).toEqual([]);
});

const slow = { timeout: 30_000, interval: 50 };

it("a running member answers for its health, status and metrics, and the commands agree with it", async () => {
  await using stage = await createStage();
  await migrated(stage);
  const { environment, streams } = stage;
  expect(await runSluice(["healthcheck"], environment)).toMatchObject({
    code: 1,
    stderr: containing("no answer"),
  });
  await using sluice = await startSluice(environment);
  await sluice.waitReady();
  await expect.poll(() => stage.read.query("SELECT id FROM users ORDER BY id"), slow).toHaveLength(2);
  const get = (path: string): Promise<Response> => fetch(`${sluice.httpUrl}${path}`);
  for (const path of ["/livez", "/readyz", "/startupz"]) {
    const answer = await get(path);
    expect([path, answer.status, await answer.json()]).toEqual([path, 200, { ok: true }]);
  }
  expect(await runSluice(["healthcheck"], environment)).toMatchObject({ code: 0, stdout: '{"ok":true}\n' });
  const metrics = await get("/metrics");
  expect(metrics.headers.get("content-type")).toContain("text/plain");
  expect(await metrics.text()).toMatch(/^sluice_state\{.*state="running"\} 1$/m);

  const served = (await (await get("/status")).json()) as StatusReport;
  const askedAt = Date.now();
  const printed = await runSluice(["status", "--json"], environment);
  expect(printed).toMatchObject({ code: 0, stderr: "" });
  const report = JSON.parse(printed.stdout) as StatusReport;
  expect(Date.parse(report.collectedAt)).toBeGreaterThanOrEqual(askedAt);
  expect(Date.parse(served.collectedAt)).toBeLessThanOrEqual(askedAt);
  expect(shapeOf(report)).toEqual(shapeOf(served));
  expect(report).toMatchObject({
    pipeline: "default",
    members: [{ shards: streams }],
    shards: streams.map((stream) => ({ stream, state: "running", lastError: null })),
  });
  const { stdout: text } = await runSluice(["status"], environment);
  for (const stream of streams) expect(text).toMatch(new RegExp(`^${stream} +1 +running `, "m"));

  expect(await sluice.stop()).toMatchObject({ code: 0 });
  expect(await runSluice(["healthcheck"], environment)).toMatchObject({ code: 1 });
});

/** Names and types, of everything in it; of lists, of their first element. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shapeOf(each)]));
}

it("accept says by its exit code whether there was something to accept, and a shard with a gap then goes on", async () => {
  await using stage = await createStage();
  await migrated(stage);
  const { environment, redis, streams } = stage;
  const [stream = ""] = streams;
  const accept = (...args: readonly string[]) => runSluice(["accept", ...args], environment);
  {
    await using sluice = await startSluice(environment);
    await sluice.waitReady();
    await expect.poll(() => stage.read.query("SELECT id FROM users"), slow).toHaveLength(2);
  }
  expect(await accept("rewound-primary")).toMatchObject({ code: 3, stderr: containing("PRIMARY_REWOUND") });
  expect(await accept("gap", "--stream", stream)).toMatchObject({ code: 2, stderr: containing("no gap") });
  for (const id of [10, 11, 12]) {
    const row = { table: "users", key: { id }, after: { id, name: "x" }, position: 200 + id };
    await redis.xadd(stream, "*", ...entryFields({ op: "c", ...row }));
  }
  await redis.xtrim(stream, "MAXLEN", 1);
  const lost = containing(`the loss of 2 entries of ${stream}`);
  expect(await accept("gap", "--stream", stream, "--dry-run")).toMatchObject({ code: 0, stdout: lost });
  expect(await accept("gap", "--stream", stream)).toMatchObject({ code: 0, stdout: lost });
  await using sluice = await startSluice(environment);
  await sluice.waitReady();
  const ids = (): Promise<object[]> => stage.read.query("SELECT id FROM users ORDER BY id");
  await expect.poll(ids, slow).toEqual([{ id: 0 }, { id: 1 }, { id: 12 }]);
});
