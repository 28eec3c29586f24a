import { expect, it } from "vitest";
import { exitCode } from "../../src/cli/exit-code.ts";
import {
  fieldsOf,
  former,
  put,
  remove,
  restored,
  rewound,
  slow,
  unchanged,
  type Primary,
} from "../support/rewound-scene.ts";

it("stops at a restored primary's first change, before anything of it is taken for old, and goes on when that is accepted", async () => {
  await using at = await rewound();
  const [a, b] = at.streams;
  await at.append(a, former, 1, put(1, "former"));
  await at.append(a, former, 2, put(2, "former"));
  await at.append(b, former, 3, put(3, "former"));
  const before = await at.append(a, former, 4, remove(9));
  // In one batch with what is of the former primary.
  const since = (await at.append(a, restored, 1, put(1, "restored"))).replace(/-\d+$/, "-0");
  await at.append(a, restored, 2, remove(2));
  const last = await at.append(a, restored, 3, put(4, "restored"));
  await at.start();
  await at.stopped(a);
  expect(await at.scene.shard(a)).toMatchObject({ checkpoint: before, entries: 3, changes: 3 });
  expect(await at.rows()).toEqual({ 1: "former", 2: "former", 3: "former" });
  expect(await at.accept(true)).toEqual({ code: exitCode.done, text: expect.stringContaining(since) });
  await at.stopped(a);
  expect(await at.accept()).toEqual({ code: exitCode.done, text: expect.stringContaining("accepted") });
  await at.applied(a, last);
  expect(await at.rows()).toEqual({ 1: "restored", 3: "former", 4: "restored" });
  expect(await at.scene.db.query("SELECT kind, detail ->> 'since' AS since FROM sluice.decision")).toEqual([
    { kind: "rewound-primary", since },
  ]);
  // Nothing is stopped any more.
  expect(await at.accept()).toMatchObject({ code: exitCode.problems });
});

it("takes what Debezium sends again after a crash for what it is, also when commits overtook each other", async () => {
  await using at = await rewound(2);
  const [a] = at.streams;
  // The first of the two in the log was committed a moment later.
  const hurried: Primary = { ...former, ms: former.ms + 5 };
  await at.append(a, former, 1, put(1, "one"));
  await at.append(a, hurried, 2, put(1, "two"));
  await at.append(a, former, 3, put(1, "three"));
  const member = await at.start();
  await at.applied(a, await at.append(a, former, 4, put(2, "four")));
  for (let again = 1; again <= 3; again++) {
    await at.append(a, former, 1, put(1, "one"));
    await at.append(a, hurried, 2, put(1, "two"));
    await at.append(a, former, 3, put(1, "three"));
    const last = await at.append(a, former, 4, put(2, "four"));
    await at.applied(a, last);
  }
  expect(await at.rows()).toEqual({ 1: "three", 2: "four" });
  expect(member.seen.codes).toEqual([]);
});

it("lets a shard that lags finish the former primary's changes, stop by itself, and count like the others afterwards", async () => {
  await using at = await rewound(1);
  const [a, b] = at.streams;
  const { db, redis } = at.scene;
  await at.append(a, former, 1, put(1, "former"));
  const early = await at.append(b, former, 2, put(2, "former"));
  await at.start();
  await at.applied(b, early);
  const obstacle = String(await redis.xadd(b, "*", "what", "is this"));
  await at.append(b, former, 3, put(2, "late former"));
  const lateFormer = await at.append(b, former, 4, put(3, "late former"));
  await at.append(a, restored, 1, put(1, "restored"));
  const lastOfB = await at.append(b, restored, 2, put(2, "restored"));
  await at.stopped(a);
  await expect
    .poll(() => at.scene.shard(b), slow)
    .toMatchObject({ checkpoint: early, error: "ENTRY_NOT_DEBEZIUM" });
  // Accepted while the other shard has yet to apply what the former primary sent.
  expect(await at.accept()).toMatchObject({ code: exitCode.done });
  await redis.xdel(b, obstacle);
  const lastOfA = await at.append(a, restored, 3, put(5, "restored"));
  await at.applied(a, lastOfA);
  await at.applied(b, lastOfB);
  expect(await at.rows()).toEqual({ 1: "restored", 2: "restored", 3: "late former", 5: "restored" });
  const [late] = await db.query<{ low: boolean }>(
    "SELECT _sluice_lsn < 10000000 AS low FROM thing WHERE id = 3",
  );
  expect(late, lateFormer).toEqual({ low: true });
});

it("takes a shard along that meets the restored primary only after that was accepted", async () => {
  await using at = await rewound();
  const [a, b] = at.streams;
  await at.append(a, former, 1, put(1, "former"));
  const idle = await at.append(b, former, 2, put(2, "former"));
  const member = await at.start();
  await at.applied(b, idle);
  await at.append(a, restored, 1, put(1, "restored"));
  await at.stopped(a);
  await at.accept();
  const last = await at.append(b, restored, 5, put(2, "restored"));
  await at.applied(b, last);
  expect(await at.rows()).toEqual({ 1: "restored", 2: "restored" });
  // A key change between the two shards finds its other half.
  const to = JSON.stringify({ id: 3 });
  const gone = { ...remove(2), headers: ["__DEBEZIUM.NEWKEY", to] };
  const come = { op: "c", id: 3, note: unchanged, headers: ["__DEBEZIUM.OLDKEY", `{"id":2}`] } as const;
  await at.append(b, restored, 6, gone);
  await at.applied(a, await at.append(a, restored, 6, come));
  expect(await at.rows()).toEqual({ 1: "restored", 3: "restored" });
  expect(member.seen.codes).not.toContain("LARGE_VALUE_UNKNOWN");
});

it("also takes along shards whose own last change lies below the restored primary's place, or that never had one", async () => {
  await using at = await rewound();
  const [a, low, c, fresh] = at.streams;
  await at.append(a, former, 1, put(1, "former"));
  const lowPlace: Primary = { lsn: 10, ms: former.ms - 60_000 };
  const early = await at.append(low, lowPlace, 1, put(2, "former"));
  await at.append(c, former, 2, put(3, "former"));
  await at.start();
  await at.applied(low, early);
  await at.append(a, restored, 5, { op: "t" });
  await at.stopped(a);
  // After the truncate, and before anybody has accepted it: this shard cannot tell.
  await at.applied(fresh, await at.append(fresh, restored, 7, put(14, "restored")));
  await at.append(c, restored, 8, put(13, "restored"));
  await at.stopped(c);
  expect((await at.accept()).text).toContain(`; ${fresh} would not have noticed`);
  // Nor can this one, now that it is accepted.
  await at.applied(low, await at.append(low, restored, 21, put(22, "restored")));
  await at.applied(a, await at.append(a, restored, 22, put(11, "restored")));
  await at.applied(c, await at.append(c, restored, 23, put(23, "restored")));
  await at.applied(fresh, await at.append(fresh, restored, 24, put(24, "restored")));
  const ids = [11, 13, 14, 22, 23, 24];
  expect(await at.rows()).toEqual(Object.fromEntries(ids.map((id) => [id, "restored"])));
  const lowRows = await at.scene.db.query("SELECT id FROM thing WHERE _sluice_lsn < 10000000");
  expect(lowRows).toEqual([]);
  for (const stream of at.streams) {
    const { entries } = await at.scene.shard(stream);
    expect(entries, stream).toBe(await at.scene.redis.xlen(stream));
  }
  // None is fooled a second time.
  await at.append(low, { ...restored, ms: restored.ms + 60_000 }, 1, put(22, "restored twice"));
  await at.stopped(low);
});

it("goes on with the former primary when the restored one's entries are removed instead", async () => {
  await using at = await rewound();
  const [a] = at.streams;
  await at.append(a, former, 1, put(1, "former"));
  await at.start();
  const refused = [
    await at.append(a, restored, 1, put(1, "restored")),
    await at.append(a, restored, 2, remove(1)),
  ];
  await at.stopped(a);
  await at.scene.redis.xdel(a, ...refused);
  await at.applied(a, await at.append(a, { ...former, ms: restored.ms + 1_000 }, 5, put(2, "former")));
  expect(await at.rows()).toEqual({ 1: "former", 2: "former" });
});

it("goes on with a second restore as with the first, in every shard", async () => {
  await using at = await rewound();
  const [a, b, c] = at.streams;
  const second: Primary = { lsn: 100, ms: restored.ms + 60_000 };
  for (const stream of [a, b, c]) await at.append(stream, former, 1, put(1, "former"));
  await at.start();
  await at.append(a, restored, 1, put(1, "restored"));
  await at.stopped(a);
  await at.accept();
  await at.applied(a, await at.append(a, restored, 2, put(2, "restored")));
  await at.append(a, second, 1, put(1, "second"));
  await at.stopped(a);
  await at.accept();
  await at.applied(a, await at.append(a, second, 2, put(2, "second")));
  // b has seen nothing of the first restore.
  await at.applied(b, await at.append(b, second, 3, put(1, "second of b")));
  expect(await at.rows()).toEqual({ 1: "second of b", 2: "second" });
  await at.applied(a, await at.append(a, second, 4, put(1, "last")));
  expect(await at.rows()).toEqual({ 1: "last", 2: "second" });
  // Back to where it began, whose places are above all since.
  await at.applied(a, await at.append(a, { ...former, ms: second.ms + 60_000 }, 9, put(2, "back")));
  expect(await at.rows()).toEqual({ 1: "last", 2: "back" });
});

it("applies a stream that was made anew from its beginning, former and restored primary's changes alike", async () => {
  await using at = await rewound();
  const [a] = at.streams;
  const { redis } = at.scene;
  const times = [1_000, 2_000, 3_000];
  const add = (ms: number, ...of: Parameters<typeof fieldsOf>): Promise<unknown> =>
    redis.xadd(a, `${ms}-1`, ...fieldsOf(...of));
  const fill = async (): Promise<void> => {
    await add(times[0] ?? 0, former, 1, put(1, "former"));
    await add(times[1] ?? 0, restored, 1, put(1, "restored"));
  };
  await fill();
  {
    await using member = await at.start();
    await at.stopped(a);
    await at.accept();
    await add(times[2] ?? 0, restored, 2, put(2, "restored"));
    await at.applied(a, "3000-1");
    expect(member.seen.codes).toContain("PRIMARY_REWOUND");
  }
  // Redis came back from an older copy of itself, and more was appended since.
  await redis.del(a);
  await fill();
  const again = await at.start();
  await at.applied(a, "2000-1");
  await add(2_500, restored, 3, put(1, "restored again"));
  await at.applied(a, "2500-1");
  expect(await at.rows()).toEqual({ 1: "restored again", 2: "restored" });
  expect(again.seen.codes).not.toContain("PRIMARY_REWOUND");
});

it("notices a restored primary also where its changes come in streams of a new generation", async () => {
  await using at = await rewound();
  const { scene } = at;
  const [a] = at.streams;
  {
    await using member = await at.start();
    await at.applied(a, await at.append(a, former, 1, put(1, "former")));
    expect(member.seen.codes).toEqual([]);
  }
  const next = a.replace(/0$/, "g2.0");
  const first = await at.append(next, restored, 1, put(1, "restored"));
  await using again = await scene.startMember({ streams: [next] });
  await at.stopped(next);
  await at.accept();
  await at.applied(next, first);
  expect(await at.rows()).toEqual({ 1: "restored" });
  expect(again.seen.codes).not.toContain("STREAM_GAP");
});
