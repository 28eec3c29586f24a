import { expect, it } from "vitest";
import { compareEntryIds } from "../../src/change/entry-id.ts";
import { exitCode } from "../../src/cli/exit-code.ts";
import {
  fieldsOf,
  former,
  put,
  restored,
  rewound,
  slow,
  type Primary,
  type Rewound,
} from "../support/rewound-scene.ts";

/** A primary long before, whose log the restored one's has passed already. */
const low: Primary = { lsn: 10, ms: former.ms - 60_000 };

/** The beginning of the entry's millisecond: what `accept` names. */
const since = (entryId: string): string => entryId.replace(/-\d+$/, "-0");

/** Many entries at once; returns their ids. */
async function appendAll(
  at: Rewound,
  stream: string,
  steps: readonly Parameters<typeof fieldsOf>[],
): Promise<string[]> {
  const pipeline = at.scene.redis.pipeline();
  for (const step of steps) pipeline.xadd(stream, "*", ...fieldsOf(...step));
  return ((await pipeline.exec()) ?? []).map(([, id]) => String(id));
}

it("also counts anew what shards applied before the first one noticed: a TRUNCATE of before does not hide it", async () => {
  await using at = await rewound();
  const [a, b, c, fresh] = at.streams;
  await at.append(a, former, 1, put(1, "former"));
  await at.append(a, former, 2, { op: "t" });
  const early = await at.append(c, low, 1, put(2, "former"));
  const last = await at.append(b, former, 3, put(3, "former"));
  await at.start();
  await at.applied(b, last);
  await at.applied(c, early);
  const first = await at.append(fresh, restored, 1, put(11, "restored"));
  const more = Array.from({ length: 250 }, (_, index) => 100 + index);
  const ids = await appendAll(
    at,
    fresh,
    more.map((id) => [restored, 2, put(id, "restored")]),
  );
  await at.applied(fresh, ids.at(-1) ?? "");
  await at.applied(c, await at.append(c, restored, 3, put(12, "restored")));
  // The older TRUNCATE makes them all look old, and nobody has noticed.
  expect(await at.rows()).toEqual({ 3: "former" });
  await at.append(a, restored, 4, put(13, "restored"));
  await at.stopped(a);
  const { text } = await at.accept();
  expect(text).toContain(`from entry ${since(first)} on`);
  expect(text).toContain(`; ${c}, ${fresh} would not have noticed`);
  await at.applied(b, await at.append(b, restored, 5, put(3, "restored")));
  for (const [stream, id] of [
    [a, 14],
    [c, 15],
    [fresh, 16],
  ] as const)
    await at.applied(stream, await at.append(stream, restored, 6, put(id, "restored")));
  const all = [3, 11, 12, 13, 14, 15, 16, ...more];
  expect(await at.rows()).toEqual(Object.fromEntries(all.map((id) => [id, "restored"])));
  // Nothing of the restored primary falls to the statement that removes what only the former one had.
  expect(await at.scene.db.query("SELECT id FROM thing WHERE _sluice_lsn < 10000000")).toEqual([]);
});

it("does not take what the former primary sent again, or late, for the restored one's", async () => {
  await using at = await rewound();
  const [a, b, , fresh] = at.streams;
  await at.append(a, former, 1, put(1, "former"));
  await at.append(b, former, 2, put(2, "former"));
  await at.append(a, former, 3, put(1, "former again"));
  const later = await at.append(b, former, 4, put(2, "former again"));
  await at.start();
  await at.applied(b, later);
  // As after a crash of Debezium; the last of it has yet to come when the primary is restored.
  await at.append(a, former, 1, put(1, "former"));
  await at.applied(b, await at.append(b, former, 2, put(2, "former")));
  const first = await at.append(fresh, restored, 1, put(3, "restored"));
  await at.append(a, restored, 2, put(1, "restored"));
  await at.stopped(a);
  expect((await at.accept(true)).text).toContain(`first entry, ${since(first)}, on`);
});

it("goes back to an entry that is there: nothing from before is applied again", async () => {
  await using at = await rewound();
  const [a, , , fresh] = at.streams;
  const { db, redis } = at.scene;
  await at.append(a, former, 1, put(1, "former"));
  await at.append(fresh, low, 1, { op: "c", line: "former 1" });
  const early = await at.append(fresh, low, 2, { op: "c", line: "former 2" });
  const member = await at.start();
  await at.applied(fresh, early);
  await at.applied(fresh, await at.append(fresh, restored, 1, { op: "c", line: "restored" }));
  await at.append(a, restored, 2, put(1, "restored"));
  await at.stopped(a);
  const begun = member.seen.reasons.length;
  expect((await at.accept()).text).toContain(`; ${fresh} would not have noticed`);
  await at.applied(fresh, await at.append(fresh, restored, 3, { op: "c", line: "last" }));
  expect(await db.query("SELECT line FROM line ORDER BY _sluice_lsn, line")).toEqual(
    ["former 1", "former 2", "restored", "restored", "last"].map((line) => ({ line })),
  );
  expect(member.seen.reasons.slice(begun).filter((reason) => reason !== "begin")).toEqual([]);
  expect((await at.scene.shard(fresh)).entries).toBe(await redis.xlen(fresh));
});

it("is accepted while a shard that cannot notice goes on applying", async () => {
  await using at = await rewound(50);
  const [a, , , fresh] = at.streams;
  await at.append(a, former, 1, put(1, "former"));
  await at.start();
  const loads: string[] = [];
  const load = async (): Promise<void> => {
    const place = loads.length;
    const steps = Array.from({ length: 200 }, (_, index) => put(1_000 + place * 200 + index, "restored"));
    const ids = await appendAll(
      at,
      fresh,
      steps.map((step) => [restored, place, step]),
    );
    loads.push(ids.at(-1) ?? "");
  };
  const past = async (entryId: string): Promise<void> => {
    const order = async (): Promise<number> =>
      compareEntryIds((await at.scene.shard(fresh)).checkpoint ?? "0-0", entryId);
    await expect.poll(order, slow).toBeGreaterThanOrEqual(0);
  };
  for (let index = 0; index < 5; index++) await load();
  const noticed = await at.append(a, restored, loads.length, put(1, "restored"));
  await at.stopped(a);
  const accepted = new AbortController();
  const loading = (async () => {
    // There is always something to apply, and not more and more of it.
    for (; !accepted.signal.aborted; await load()) await past(loads.at(-5) ?? "");
  })();
  loading.catch(() => undefined);
  await past(noticed);
  const { code, text } = await at.accept().finally(() => accepted.abort());
  await loading;
  expect({ code, text }).toEqual({
    code: exitCode.done,
    text: expect.stringContaining(`; ${fresh} would not`),
  });
  await at.applied(fresh, loads.at(-1) ?? "");
  const [row] = await at.scene.db.query(
    "SELECT count(*)::int AS rows, bool_and(_sluice_lsn > 10000000) AS anew FROM thing WHERE id >= 1000",
  );
  expect(row).toEqual({ rows: loads.length * 200, anew: true });
  expect((await at.scene.shard(fresh)).entries).toBe(await at.scene.redis.xlen(fresh));
});
