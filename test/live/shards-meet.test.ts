import { expect, it } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { SecondLook } from "../../src/sink/second-look.ts";
import type { TestDatabase } from "../support/database.ts";
import { createScene, type RunningMember, type Scene } from "../support/scene.ts";

/**
 * Shards meet on one key or one table in few cases. Here their transactions are held open at the worst moments: triggers of the
 * read table wait for an advisory lock that the test holds, after the statement has done its work and before its commit.
 */
const tables = `
  CREATE TABLE thing (id int PRIMARY KEY, owner int, note text, body text, _sluice_lsn bigint);
  CREATE FUNCTION wait_for() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared(tg_argv[0]::bigint); RETURN NULL; END $$;
  CREATE TRIGGER after_insert AFTER INSERT ON thing FOR EACH ROW WHEN (NEW.note = 'held') EXECUTE FUNCTION wait_for(1);
  CREATE TRIGGER after_delete AFTER DELETE ON thing FOR EACH STATEMENT EXECUTE FUNCTION wait_for(2);
  ALTER TABLE thing ENABLE ALWAYS TRIGGER after_insert;
  ALTER TABLE thing ENABLE ALWAYS TRIGGER after_delete`;

type Moment = "after insert" | "after delete";

/** While it is held, inserts of rows noted `held`, or deletes, have done their work and do not commit. */
async function hold(
  db: TestDatabase,
  moment: Moment,
): Promise<AsyncDisposable & { reached(): Promise<void>; release(): Promise<void> }> {
  const client = await db.pool.connect();
  await client.query("SELECT pg_advisory_lock($1)", [moment === "after insert" ? 1 : 2]);
  let held = true;
  const release = async (): Promise<void> => {
    if (!held) return;
    held = false;
    await client.query("SELECT pg_advisory_unlock_all()");
    client.release();
  };
  return {
    reached: () => expect.poll(() => waiting(db, "advisory"), slow).toBeGreaterThan(0),
    release,
    [Symbol.asyncDispose]: release,
  };
}

/** Sessions that wait for a lock of this kind, `advisory`, `relation` or `transactionid`, but for those that only report a shard's state. */
async function waiting(db: TestDatabase, kind: string): Promise<number> {
  const rows = await db.query(
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = $1
       AND query NOT LIKE 'UPDATE sluice.shard SET state%'`,
    [kind],
  );
  return rows.length;
}

const slow = { timeout: 20_000, interval: 10 };
/** Debezium's word for a large value that did not change. */
const unchanged = "__debezium_unavailable_value";

interface Row {
  readonly id: number;
  readonly note: string;
  readonly body?: string;
}

interface Step {
  readonly op: "c" | "u" | "d" | "t" | "r";
  readonly position: number;
  /** The last commit before this one. */
  readonly commit?: number;
  readonly id?: number;
  readonly after?: Row;
  readonly headers?: readonly string[];
}

const insert = (position: number, row: Row): Step => ({ op: "c", position, id: row.id, after: row });
const update = (position: number, row: Row): Step => ({ op: "u", position, id: row.id, after: row });
const remove = (position: number, id: number): Step => ({ op: "d", position, id });
const truncate = (position: number): Step => ({ op: "t", position });

/** The two halves of a key change, which Debezium links by headers. */
function keyChange(position: number, from: number, row: Row, commit = position - 1): readonly [Step, Step] {
  const to = JSON.stringify({ id: row.id });
  return [
    { ...remove(position, from), commit, headers: ["__DEBEZIUM.NEWKEY", to] },
    { ...insert(position, row), commit, headers: ["__DEBEZIUM.OLDKEY", JSON.stringify({ id: from })] },
  ];
}

function fieldsOf({ op, position, commit, id, after, headers = [] }: Step): string[] {
  const place = { lsn: position, ts_ms: 1_700_000_000_000 + (commit ?? position) };
  const sequence = commit === undefined ? null : JSON.stringify([String(commit), String(position)]);
  const source = { schema: "public", table: "thing", ...place, sequence };
  const image = after && { id: after.id, owner: position, note: after.note, body: after.body ?? "body" };
  const value = { before: op === "d" ? { id } : null, after: image ?? null, source, op };
  const key = id === undefined ? "default" : JSON.stringify({ id });
  return ["key", key, "value", JSON.stringify(value), ...headers];
}

interface Meeting extends AsyncDisposable {
  readonly db: TestDatabase;
  /** Appends to the shard `left` or `right`. */
  left(...steps: readonly Step[]): Promise<void>;
  right(...steps: readonly Step[]): Promise<void>;
  /** Waits until the shard, or both, have applied all that was appended. */
  applied(which?: "left" | "right"): Promise<void>;
  /** Waits until no delete is to be looked at again. */
  lookedAgain(): Promise<void>;
  rows(): Promise<Record<number, string>>;
  readonly member: RunningMember;
}

async function meeting(): Promise<Meeting> {
  await using stack = new AsyncDisposableStack();
  // One entry a batch: what is appended together is still applied in transactions of their own.
  const config = { batchEntries: 1, databaseConnections: 3, stoppedRetryMs: 100 };
  const scene = stack.use(await createScene({ shards: 2, config }));
  await scene.db.query(tables);
  const member = stack.use(await scene.startMember());
  const [left = "", right = ""] = scene.streams;
  const last = new Map<string, string>();
  const append = async (stream: string, steps: readonly Step[]): Promise<void> => {
    for (const step of steps)
      last.set(stream, String(await scene.redis.xadd(stream, "*", ...fieldsOf(step))));
  };
  const started = stack.move();
  const { db } = scene;
  return {
    ...{ db, member },
    left: (...steps) => append(left, steps),
    right: (...steps) => append(right, steps),
    applied: async (which) => {
      for (const [stream, checkpoint] of last) {
        if (which === undefined || stream === (which === "left" ? left : right))
          await expect.poll(() => scene.shard(stream), slow).toMatchObject({ checkpoint });
      }
    },
    lookedAgain: () =>
      expect
        .poll(() => scene.db.query("SELECT key FROM sluice.tombstone WHERE missed IS NOT NULL"), slow)
        .toEqual([]),
    rows: () => rowsOf(scene),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

async function rowsOf(scene: Scene): Promise<Record<number, string>> {
  const rows = await scene.db.query<{ id: number; text: string }>(
    "SELECT id, note || ' ' || body AS text FROM thing ORDER BY id",
  );
  return Object.fromEntries(rows.map(({ id, text }) => [id, text]));
}

it("removes an older row by TRUNCATE whose insert in another shard is not committed", async () => {
  await using at = await meeting();
  await using insertHeld = await hold(at.db, "after insert");
  await at.left(insert(10, { id: 1, note: "held" }));
  await insertHeld.reached();
  await at.right(truncate(20));
  await expect.poll(() => waiting(at.db, "relation"), slow).toBe(1);
  await insertHeld.release();
  await at.applied();
  expect(await at.rows()).toEqual({});
});

it("keeps older rows out whose insert in another shard comes while a TRUNCATE runs, or after it", async () => {
  await using at = await meeting();
  await using truncateHeld = await hold(at.db, "after delete");
  await at.right(truncate(20));
  await truncateHeld.reached();
  await at.left(insert(10, { id: 1, note: "older" }), insert(11, { id: 2, note: "older" }));
  await expect.poll(() => waiting(at.db, "relation"), slow).toBe(1);
  await truncateHeld.release();
  await at.applied();
  expect(await at.rows()).toEqual({});
});

it("keeps newer rows of a shard that is past the TRUNCATE already", async () => {
  await using at = await meeting();
  await at.left(insert(10, { id: 1, note: "older" }), insert(30, { id: 2, note: "newer" }));
  await at.applied();
  await at.right(truncate(20));
  await at.applied();
  expect(await at.rows()).toEqual({ 2: "newer body" });
});

it("removes a row in the end whose insert was open, unseen, while its delete ran in another shard", async () => {
  await using at = await meeting();
  await using insertHeld = await hold(at.db, "after insert");
  await at.left(insert(10, { id: 1, note: "held" }));
  await insertHeld.reached();
  await at.right(remove(20, 1));
  await at.applied("right");
  // Whoever looked again now would find nothing either, and must not take that for the end of it.
  const look = new SecondLook(at.db.pool, new Catalog(at.db.pool));
  for (let times = 1; times <= 3; times++) expect(await look.look()).toBe(0);
  expect(await at.db.query("SELECT missed <> '0' AS due FROM sluice.tombstone")).toEqual([{ due: true }]);
  await insertHeld.release();
  await at.applied();
  await at.lookedAgain();
  expect(await at.rows()).toEqual({});
});

it("removes a row in the end that was inserted in another shard, unseen, before its delete was committed", async () => {
  await using at = await meeting();
  await using deleteHeld = await hold(at.db, "after delete");
  await at.right(remove(20, 1));
  await deleteHeld.reached();
  await at.left(insert(10, { id: 1, note: "older" }));
  await at.applied("left");
  expect(await at.rows()).toEqual({ 1: "older body" });
  await deleteHeld.release();
  await at.applied();
  await at.lookedAgain();
  expect(await at.rows()).toEqual({});
});

it("removes a moved row that met its own update and delete in progress in the new key's shard", async () => {
  await using at = await meeting();
  const [gone, come] = keyChange(20, 1, { id: 2, note: "moved", body: unchanged });
  await at.left(
    insert(5, { id: 2, note: "earlier" }),
    insert(10, { id: 1, note: "first", body: "large" }),
    gone,
  );
  await at.applied();
  await at.left(update(25, { id: 2, note: "newer", body: "newer" }));
  await at.applied();
  await using deleteHeld = await hold(at.db, "after delete");
  await at.left(remove(30, 2));
  await deleteHeld.reached();
  await at.right(come);
  await expect.poll(() => waiting(at.db, "transactionid"), slow).toBe(1);
  await deleteHeld.release();
  await at.applied();
  expect(await at.rows()).toEqual({});
});

it("keeps a row out whose insert comes long after its delete in another shard", async () => {
  await using at = await meeting();
  await at.right(remove(20, 1), insert(15, { id: 3, note: "another" }));
  await at.applied();
  await at.lookedAgain();
  await at.left(insert(10, { id: 1, note: "older" }), insert(30, { id: 2, note: "newer" }));
  await at.applied();
  expect(await at.rows()).toEqual({ 2: "newer body", 3: "another body" });
});

it("keeps a row that was inserted anew after the delete, whatever the older insert in another shard did meanwhile", async () => {
  await using at = await meeting();
  await using insertHeld = await hold(at.db, "after insert");
  await at.left(insert(10, { id: 1, note: "held" }));
  await insertHeld.reached();
  await at.right(remove(20, 1), insert(30, { id: 1, note: "anew" }), update(40, { id: 1, note: "newest" }));
  await expect.poll(() => waiting(at.db, "transactionid"), slow).toBe(1);
  await insertHeld.release();
  await at.applied();
  await at.lookedAgain();
  expect(await at.rows()).toEqual({ 1: "newest body" });
});

it("keeps a row's newer state in its new shard when its insert in the old one comes last, open or late", async () => {
  await using at = await meeting();
  await using insertHeld = await hold(at.db, "after insert");
  await at.left(insert(10, { id: 1, note: "held" }));
  await insertHeld.reached();
  await at.right(update(20, { id: 1, note: "newer" }), update(21, { id: 2, note: "newer" }));
  await expect.poll(() => waiting(at.db, "transactionid"), slow).toBe(1);
  await insertHeld.release();
  await at.applied();
  await at.left(insert(11, { id: 2, note: "older" }));
  await at.applied();
  expect(await at.rows()).toEqual({ 1: "newer body", 2: "newer body" });
});

it("keeps the newest state where the older insert in another shard comes last", async () => {
  await using at = await meeting();
  await at.right(remove(20, 1), insert(30, { id: 1, note: "anew" }));
  await at.applied();
  await at.left(insert(10, { id: 1, note: "older" }), update(15, { id: 1, note: "older" }));
  await at.applied();
  await at.lookedAgain();
  expect(await at.rows()).toEqual({ 1: "anew body" });
});

it("keeps the newest of what one transaction did in two shards while others committed", async () => {
  await using at = await meeting();
  const overtaken = (step: Step): Step => ({ ...step, commit: 90 });
  await at.right(
    overtaken(update(20, { id: 1, note: "newer" })),
    overtaken(remove(20, 2)),
    overtaken(insert(30, { id: 3, note: "anew" })),
  );
  await at.applied();
  await at.left(
    overtaken(insert(10, { id: 1, note: "older" })),
    overtaken(insert(10, { id: 2, note: "older" })),
    overtaken(remove(20, 3)),
  );
  await at.applied();
  await at.lookedAgain();
  expect(await at.rows()).toEqual({ 1: "newer body", 3: "anew body" });
});

it("carries large values through a key change whose delete comes first", async () => {
  await using at = await meeting();
  const [gone, come] = keyChange(20, 1, { id: 2, note: "moved", body: unchanged });
  await at.left(insert(10, { id: 1, note: "first", body: "large" }), gone);
  await at.applied();
  await at.right(come);
  await at.applied();
  expect(await at.rows()).toEqual({ 2: "moved large" });
});

it.each([
  ["the old key's", 604, 504],
  ["the new key's", 504, 604],
  ["only the new key's", 0, 504],
])(
  "carries large values through a key change that was logged below snapshots, of which %s shard has seen more",
  async (_, left, right) => {
    await using at = await meeting();
    if (left > 0) await at.left({ ...insert(left, { id: 1, note: "read", body: "large" }), op: "r" });
    else await at.left(insert(10, { id: 1, note: "first", body: "large" }));
    await at.right({ ...insert(right, { id: 9, note: "read" }), op: "r" });
    const [gone, come] = keyChange(400, 1, { id: 2, note: "moved", body: unchanged });
    await at.right({ ...come, commit: 704 });
    await at.left({ ...gone, commit: 704 });
    await at.applied();
    expect(await at.rows()).toEqual({ 2: "moved large", 9: "read body" });
  },
);

it("waits with a key change's insert for its delete, also while that is not committed, and goes on by itself", async () => {
  await using at = await meeting();
  const [gone, come] = keyChange(20, 1, { id: 2, note: "moved", body: unchanged });
  await at.left(insert(10, { id: 1, note: "first", body: "large" }));
  await at.applied();
  await at.right(insert(15, { id: 3, note: "before" }), come, insert(25, { id: 4, note: "behind" }));
  await expect.poll(() => at.member.seen.codes, slow).toContain("KEY_CHANGE_WAITS");
  expect(await at.rows()).toEqual({ 1: "first large", 3: "before body" });
  await using deleteHeld = await hold(at.db, "after delete");
  await at.left(gone);
  await deleteHeld.reached();
  const waits = at.member.seen.codes.length;
  await expect.poll(() => at.member.seen.codes.length, slow).toBeGreaterThan(waits);
  expect(await at.rows()).toEqual({ 1: "first large", 3: "before body" });
  await deleteHeld.release();
  await at.applied();
  expect(await at.rows()).toEqual({ 2: "moved large", 3: "before body", 4: "behind body" });
  expect(new Set(at.member.seen.codes)).toEqual(new Set(["KEY_CHANGE_WAITS"]));
});

it("keeps what a key change saved when its old key is taken and given up again before the new key's shard comes to it", async () => {
  await using at = await meeting();
  const [gone, come] = keyChange(20, 1, { id: 2, note: "moved", body: unchanged });
  await at.left(insert(10, { id: 1, note: "first", body: "large" }), gone);
  await at.left(insert(30, { id: 1, note: "anew", body: "another" }), remove(40, 1));
  await at.applied();
  await at.right(come);
  await at.applied();
  expect(await at.rows()).toEqual({ 2: "moved large" });
  expect(at.member.seen.codes).toEqual([]);
});

it("swaps keys through a temporary one more than once in a transaction that another's commit overtook", async () => {
  await using at = await meeting();
  for (const id of [1, 2, 3, 4]) await at.left(insert(id, { id, note: `${id}`, body: `large ${id}` }));
  await at.applied();
  // 9 is the temporary key of both swaps.
  const moves: readonly (readonly [from: number, to: number])[] = [
    [1, 9],
    [2, 1],
    [9, 2],
    [3, 9],
    [4, 3],
    [9, 4],
  ];
  const halves = moves.map(([from, id], index) =>
    keyChange(500 + index, from, { id, note: `from ${from}`, body: unchanged }, 600),
  );
  // The temporary key's shard is the left one, and so is that of the others' deletes.
  for (const [index, [gone, come]] of halves.entries()) {
    await at.left(gone, ...(moves[index]?.[1] === 9 ? [come] : []));
  }
  await at.applied();
  for (const [index, [, come]] of halves.entries()) {
    if (moves[index]?.[1] !== 9) await at.right(come);
  }
  await at.applied();
  expect(await at.rows()).toEqual({
    ...{ 1: "from 2 large 2", 2: "from 9 large 1" },
    ...{ 3: "from 4 large 4", 4: "from 9 large 3" },
  });
  expect(at.member.seen.codes).toEqual([]);
});

it("does not wait with a key change's insert that carries every value", async () => {
  await using at = await meeting();
  const [gone, come] = keyChange(20, 1, { id: 2, note: "moved", body: "small" });
  await at.left(insert(10, { id: 1, note: "first", body: "small" }));
  await at.right(come);
  await at.applied();
  expect(await at.rows()).toEqual({ 1: "first small", 2: "moved small" });
  await at.left(gone);
  await at.applied();
  expect(await at.rows()).toEqual({ 2: "moved small" });
  expect(at.member.seen.codes).toEqual([]);
});

it("waits with an update that leaves out a large value for the row's insert in another shard, open or yet to come", async () => {
  await using at = await meeting();
  await using insertHeld = await hold(at.db, "after insert");
  await at.left(insert(10, { id: 1, note: "held", body: "large" }));
  await insertHeld.reached();
  await at.right(
    update(20, { id: 1, note: "changed", body: unchanged }),
    update(21, { id: 2, note: "changed", body: unchanged }),
  );
  await expect.poll(() => at.member.seen.codes, slow).toContain("LARGE_VALUE_UNKNOWN");
  await insertHeld.release();
  await expect.poll(at.rows, slow).toEqual({ 1: "changed large" });
  await at.left(insert(11, { id: 2, note: "first", body: "large" }));
  await at.applied();
  expect(await at.rows()).toEqual({ 1: "changed large", 2: "changed large" });
});

it("drops an update that leaves out a large value where the row was deleted meanwhile in another shard", async () => {
  await using at = await meeting();
  await at.left(remove(30, 1));
  await at.applied();
  await at.right(update(20, { id: 1, note: "changed", body: unchanged }));
  await at.applied();
  expect(await at.rows()).toEqual({});
  expect(at.member.seen.codes).toEqual([]);
});
