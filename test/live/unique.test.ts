import { expect, it } from "vitest";
import { entryFields } from "../support/entries.ts";
import { createScene, type Scene } from "../support/scene.ts";

/**
 * Unique constraints besides the key. Shards are independent and folding changes the order between keys, so a value can be taken
 * over before its former row has given it up, although the primary never held it twice.
 */

const slow = { timeout: 20_000, interval: 20 };

interface User {
  readonly id: number;
  readonly email: string;
}

function user(op: "c" | "u", position: number, after: User): string[] {
  return entryFields({ op, table: "users", key: { id: after.id }, after: { ...after }, position });
}

async function createUsers(shards: number, constraint: string): Promise<Scene> {
  const scene = await createScene({ shards });
  await scene.db.query(
    `CREATE TABLE users (id int PRIMARY KEY, email text, _sluice_lsn bigint, ${constraint})`,
  );
  return scene;
}

/** In one transaction, so that a reader sees all of them or none. */
async function add(scene: Scene, stream: string, ...entries: readonly string[][]): Promise<string> {
  const transaction = scene.redis.multi();
  for (const fields of entries) transaction.xadd(stream, "*", ...fields);
  const replies = (await transaction.exec()) ?? [];
  return String(replies.at(-1)?.[1]);
}

function users(scene: Scene): Promise<User[]> {
  return scene.db.query("SELECT id, email FROM users ORDER BY id");
}

async function expectApplied(scene: Scene, stream: string, id: string): Promise<void> {
  await expect.poll(() => scene.shard(stream), slow).toMatchObject({ checkpoint: id, state: "running" });
}

/** Each of them is checked where the violation is told: with the statement, or with COMMIT. */
const constraints: readonly [name: string, constraint: string][] = [
  ["a unique constraint", "UNIQUE (email)"],
  ["an exclusion constraint", "EXCLUDE (email WITH =)"],
  ["a deferred unique constraint", "UNIQUE (email) DEFERRABLE INITIALLY DEFERRED"],
];

it.each(constraints)(
  "%s: a value that moves to a row of another shard waits for that shard, as retrying, and then both are right",
  async (_, constraint) => {
    await using scene = await createUsers(2, constraint);
    const [first = "", second = ""] = scene.streams;
    await using role = await createRole(scene);
    await using _member = await scene.startMember({ databaseUrl: role.url, retryMaxMs: 2_000 });
    await expectApplied(scene, first, await add(scene, first, user("c", 10, { id: 1, email: "a" })));
    const taking = await add(
      scene,
      second,
      user("c", 40, { id: 2, email: "a" }),
      user("c", 50, { id: 4, email: "d" }),
    );
    const waiting = { state: "retrying", error: "UNIQUE_VIOLATED", checkpoint: null };
    await expect.poll(() => scene.shard(second), slow).toMatchObject(waiting);
    // Nothing behind it is applied.
    expect(await users(scene)).toEqual([{ id: 1, email: "a" }]);
    const giving = await add(scene, first, user("u", 30, { id: 1, email: "b" }));
    await expectApplied(scene, first, giving);
    await expectApplied(scene, second, taking);
    expect(await users(scene)).toEqual([
      { id: 1, email: "b" },
      { id: 2, email: "a" },
      { id: 4, email: "d" },
    ]);
    expect(await scene.shard(second)).toMatchObject({ error: null, changes: 2 });
  },
);

it("a deferred constraint holds nobody up where sluice may skip triggers, which is how PostgreSQL checks it", async () => {
  await using scene = await createUsers(2, "UNIQUE (email) DEFERRABLE INITIALLY DEFERRED");
  const [first = "", second = ""] = scene.streams;
  await using member = await scene.startMember();
  await expectApplied(scene, first, await add(scene, first, user("c", 10, { id: 1, email: "a" })));
  await expectApplied(scene, second, await add(scene, second, user("c", 40, { id: 2, email: "a" })));
  await expectApplied(scene, first, await add(scene, first, user("u", 30, { id: 1, email: "b" })));
  expect(await users(scene)).toEqual([
    { id: 1, email: "b" },
    { id: 2, email: "a" },
  ]);
  expect(member.seen.codes).toEqual([]);
});

it("a value that nobody gives up stops the shard after some tries, and the error names table, key and constraint", async () => {
  await using scene = await createUsers(2, "CONSTRAINT one_each UNIQUE (email)");
  const [first = "", second = ""] = scene.streams;
  await using _member = await scene.startMember();
  await expectApplied(scene, first, await add(scene, first, user("c", 10, { id: 1, email: "a" })));
  await add(scene, second, user("c", 20, { id: 2, email: "a" }));
  await expect
    .poll(() => scene.shard(second), slow)
    .toMatchObject({ state: "stopped", error: "UNIQUE_VIOLATED" });
  const [row] = await scene.db.query<{ error: object }>(
    "SELECT last_error AS error FROM sluice.shard WHERE stream = $1",
    [second],
  );
  expect(row?.error).toMatchObject({
    message: expect.stringContaining("one_each") as string,
    place: { stream: second, table: "public.users", keyColumns: ["id"] },
  });
  // The other one goes on.
  await expectApplied(scene, first, await add(scene, first, user("c", 30, { id: 5, email: "e" })));
});

it.each(constraints)(
  "%s: a value that moves between rows of one batch needs no help",
  async (_, constraint) => {
    await using scene = await createUsers(1, constraint);
    const { stream } = scene;
    await using role = await createRole(scene);
    await using member = await scene.startMember({ databaseUrl: role.url });
    const owners = [1, 2, 3].map((id) => user("c", id, { id, email: `of ${id}` }));
    await expectApplied(scene, stream, await add(scene, stream, ...owners));
    // Upwards, downwards, round a circle, and through a new row: each takes what another gave up right before.
    const moved = await add(
      scene,
      stream,
      user("u", 11, { id: 3, email: "free" }),
      user("u", 12, { id: 1, email: "of 3" }),
      user("u", 13, { id: 2, email: "of 1" }),
      user("u", 14, { id: 3, email: "of 2" }),
      user("c", 15, { id: 0, email: "free" }),
    );
    await expectApplied(scene, stream, moved);
    expect(await users(scene)).toEqual([
      { id: 0, email: "free" },
      { id: 1, email: "of 3" },
      { id: 2, email: "of 1" },
      { id: 3, email: "of 2" },
    ]);
    expect(await scene.shard()).toMatchObject({ error: null, entries: 8, changes: 8 });
    expect(member.seen.codes).toEqual([]);
  },
);

/** One that writes the tables, and may not set session_replication_role. */
async function createRole({ db }: Scene): Promise<AsyncDisposable & { readonly url: string }> {
  const name = `${db.name}_role`;
  await db.query(
    `CREATE ROLE ${name} LOGIN; GRANT USAGE ON SCHEMA public, sluice TO ${name};
     GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public, sluice TO ${name}`,
  );
  const url = new URL(db.url);
  url.username = name;
  return {
    url: url.href,
    [Symbol.asyncDispose]: async () => void (await db.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`)),
  };
}
