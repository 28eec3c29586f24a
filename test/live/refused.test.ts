import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, inject, it } from "vitest";
import { startPostgres } from "../../demo/local/postgres-cluster.ts";
import { createTempFolder } from "../../demo/local/temp-folder.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";
import { entryFields } from "../support/entries.ts";
import { migrated } from "../support/member.ts";
import { startSluice, type SluiceProcess } from "../support/sluice-process.ts";
import { createStreamPrefix } from "../support/stream-prefix.ts";

/**
 * A store that does not let sluice in: a wrong name or password. It is mended at the store as often as in the configuration, so
 * `run` goes on trying, says why, and is not ready.
 */

const slow = { timeout: 30_000, interval: 50 };

interface Stage extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly redis: Redis;
  readonly stream: string;
  /** Adds a row to the stream. */
  add(id: number): Promise<void>;
  ids(): Promise<number[]>;
  /** `own` over what works. */
  run(own: Readonly<Record<string, string>>): Promise<SluiceProcess>;
}

/** `postgresUrl`: a superuser's, of the server that the read database is made in. */
async function createStage(postgresUrl = inject("postgresUrl")): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const db = stack.use(await createDatabase(postgresUrl));
  const [stream = ""] = stack.use(createStreamPrefix(inject("redisUrl"))).streams(1);
  const redis = stack.adopt(new Redis(inject("redisUrl")), (client) => client.disconnect());
  await db.query("CREATE TABLE users (id int PRIMARY KEY, _sluice_lsn bigint)");
  await migrated(db.url);
  const owned = stack.move();
  return {
    ...{ db, redis, stream },
    add: async (id) => {
      const row = { op: "c", table: "users", key: { id }, after: { id }, position: 100 + id } as const;
      await redis.xadd(stream, "*", ...entryFields(row));
    },
    ids: async () =>
      (await db.query<{ id: number }>("SELECT id FROM users ORDER BY id")).map((row) => row.id),
    run: (own) =>
      startSluice({
        SLUICE_REDIS_URL: inject("redisUrl"),
        SLUICE_DATABASE_URL: db.url,
        SLUICE_STREAMS: stream,
        SLUICE_RETRY_MAX: "200ms",
        ...own,
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A role with all rights on the stage's database, and the database's address for it. */
async function createRole(
  db: TestDatabase,
  attributes = "LOGIN",
): Promise<AsyncDisposable & { readonly name: string; readonly url: URL }> {
  const name = `${db.name}_role`;
  await db.query(`CREATE ROLE ${name} SUPERUSER ${attributes}`);
  const url = new URL(db.url);
  url.username = name;
  return { name, url, [Symbol.asyncDispose]: async () => void (await db.query(`DROP ROLE ${name}`)) };
}

interface LoggedError {
  readonly code: string;
  readonly message: string;
  readonly option?: string;
  readonly remedy: string;
}

/** Errors in the log so far. */
function errorsOf(sluice: SluiceProcess): LoggedError[] {
  const lines = sluice.log().split("\n").slice(0, -1);
  return lines.flatMap((line) => (JSON.parse(line) as { err?: LoggedError }).err ?? []);
}

/** It says what is wrong and where, and is alive but not ready. */
async function expectRefused(sluice: SluiceProcess, error: Record<string, unknown>): Promise<void> {
  const remedy: unknown = expect.stringMatching(/\.$/);
  await expect
    .poll(() => errorsOf(sluice), slow)
    .toContainEqual(expect.objectContaining({ ...error, remedy }));
  const status = async (path: string): Promise<number> => (await fetch(`${sluice.httpUrl}${path}`)).status;
  await expect.poll(() => status("/readyz"), slow).toBe(503);
  expect(await status("/livez")).toBe(200);
  expect(sluice.process.running).toBe(true);
}

const refused = (state: string, message: string): Record<string, unknown> => ({
  code: "DATABASE_REFUSED",
  option: "SLUICE_DATABASE_URL",
  message: expect.stringMatching(
    new RegExp(`^PostgreSQL refused the connection: SQLSTATE ${state} .*${message}`),
  ),
});

it("a database name that does not exist", async () => {
  await using stage = await createStage();
  const wrong = new URL(stage.db.url);
  wrong.pathname = `${wrong.pathname}_wrong`;
  await using sluice = await stage.run({ SLUICE_DATABASE_URL: wrong.href });
  await expectRefused(sluice, refused("3D000", "does not exist"));
  expect(await sluice.stop()).toMatchObject({ code: 0 });
});

it("a role that may not log in, until it may", async () => {
  await using stage = await createStage();
  await using role = await createRole(stage.db, "NOLOGIN");
  await stage.add(1);
  await using sluice = await stage.run({ SLUICE_DATABASE_URL: role.url.href });
  await expectRefused(sluice, refused("28000", "not permitted to log in"));
  await stage.db.query(`ALTER ROLE ${role.name} LOGIN`);
  await sluice.waitReady();
  await expect.poll(() => stage.ids(), slow).toEqual([1]);
});

it("a role that loses the right to log in while sluice runs, until it has it again", async () => {
  await using stage = await createStage();
  await using role = await createRole(stage.db);
  await stage.add(1);
  await using sluice = await stage.run({ SLUICE_DATABASE_URL: role.url.href, SLUICE_LEASE: "3s" });
  await sluice.waitReady();
  await expect.poll(() => stage.ids(), slow).toEqual([1]);
  await stage.db.query(`ALTER ROLE ${role.name} NOLOGIN`);
  await stage.db.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", [
    role.name,
  ]);
  await expectRefused(sluice, refused("28000", "not permitted to log in"));
  await stage.add(2);
  await stage.db.query(`ALTER ROLE ${role.name} LOGIN`);
  await expect.poll(() => stage.ids(), slow).toEqual([1, 2]);
  await sluice.waitReady();
});

it("a wrong password of the read database, until it is the right one", async () => {
  await using cluster = await ownCluster();
  await using stage = await createStage(cluster.url);
  await using role = await createRole(stage.db, "LOGIN PASSWORD 'right'");
  cluster.requirePassword(role.name);
  await stage.db.query("SELECT pg_reload_conf()");
  role.url.password = "mistaken";
  await stage.add(1);
  await using sluice = await stage.run({ SLUICE_DATABASE_URL: role.url.href });
  await expectRefused(sluice, refused("28P01", "password authentication failed"));
  expect(sluice.log()).not.toContain("mistaken");
  await stage.db.query(`ALTER ROLE ${role.name} PASSWORD 'mistaken'`);
  await sluice.waitReady();
  await expect.poll(() => stage.ids(), slow).toEqual([1]);
});

it("a wrong password of Redis, until it is the right one", async () => {
  await using stage = await createStage();
  const name = `user-${stage.stream}`;
  await stage.redis.call("ACL", "SETUSER", name, "on", ">right", "~*", "+@all");
  try {
    const url = new URL(inject("redisUrl"));
    url.username = name;
    url.password = "mistaken";
    await stage.add(1);
    await using sluice = await stage.run({ SLUICE_REDIS_URL: url.href });
    const message: unknown = expect.stringContaining("WRONGPASS");
    await expectRefused(sluice, { code: "REDIS_UNAVAILABLE", option: "SLUICE_REDIS_URL", message });
    expect(sluice.log()).not.toContain("mistaken");
    expect(await stage.ids()).toEqual([]);
    await stage.redis.call("ACL", "SETUSER", name, ">mistaken");
    await sluice.waitReady();
    await expect.poll(() => stage.ids(), slow).toEqual([1]);
  } finally {
    await stage.redis.call("ACL", "DELUSER", name);
  }
});

/** A server whose rules of admission the test writes. */
async function ownCluster(): Promise<
  AsyncDisposable & { readonly url: string; requirePassword(role: string): void }
> {
  const folder = createTempFolder("sluice-refused-");
  const data = join(folder.path, "postgres");
  const cluster = await startPostgres({ folder: data });
  const rules = join(data, "data", "pg_hba.conf");
  return {
    url: cluster.url,
    requirePassword: (role) => {
      // The first rule that fits is the one that counts.
      const others = readFileSync(rules, "utf8");
      writeFileSync(rules, `host all ${role} 127.0.0.1/32 scram-sha-256\n${others}`);
    },
    [Symbol.asyncDispose]: async () => {
      await cluster.stop();
      folder.remove();
    },
  };
}
