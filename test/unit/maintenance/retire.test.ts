import { expect, test } from "vitest";
import { prunableBeforeMs } from "../../../src/maintenance/prune.ts";
import { removable, retirable, type RetireFacts } from "../../../src/maintenance/retire.ts";
import type { ShardRecord } from "../../../src/sink/maintenance-store.ts";
import type { StreamFacts } from "../../../src/source/stream-facts.ts";

const old: ShardRecord = {
  stream: "cdc.0",
  generation: 1,
  retired: false,
  checkpoint: "500-0",
  entries: 5n,
  epoch: "1",
  owner: "me",
};
const fresh: ShardRecord = { ...old, stream: "cdc.g2.0", generation: 2, checkpoint: "900-0" };
const stream: StreamFacts = {
  stream: "cdc.0",
  length: 5,
  firstId: "100-0",
  lastId: "500-0",
  added: 5n,
  groups: [{ name: "sluice", lastDeliveredId: "500-0", firstPendingId: undefined }],
  consumers: [],
};

function facts(more: {
  readonly old?: Partial<ShardRecord>;
  readonly fresh?: Partial<ShardRecord>;
  readonly stream?: Partial<StreamFacts> | "absent";
  readonly retainAgeMs?: number;
}): RetireFacts {
  const seen = more.stream === "absent" ? [] : [["cdc.0", { ...stream, ...more.stream }] as const];
  return {
    shards: [
      { ...old, ...more.old },
      { ...fresh, ...more.fresh },
    ],
    streams: new Map(seen),
    group: "sluice",
    retainAgeMs: more.retainAgeMs ?? 100,
    nowMs: 1_000,
  };
}

function streams(shards: readonly { readonly stream: string }[]): readonly string[] {
  return shards.map((each) => each.stream);
}

test("an earlier generation's shard that is applied to its end and old is retired", () => {
  expect(streams(retirable(facts({})))).toEqual(["cdc.0"]);
  expect(streams(retirable(facts({ stream: "absent" })))).toEqual(["cdc.0"]);
  expect(streams(retirable(facts({ old: { checkpoint: undefined }, stream: { lastId: "0-0" } })))).toEqual([
    "cdc.0",
  ]);
});

const behind = { name: "audit", lastDeliveredId: "400-0", firstPendingId: undefined };
const pending = { name: "audit", lastDeliveredId: "500-0", firstPendingId: "450-0" };

test.each<[string, RetireFacts]>([
  ["the newest generation has applied nothing", facts({ fresh: { checkpoint: undefined } })],
  ["it is not applied to its end", facts({ stream: { lastId: "501-0" } })],
  ["its newest entry is kept for replays", facts({ retainAgeMs: 600 })],
  ["another group has not read it all", facts({ stream: { groups: [...stream.groups, behind] } })],
  ["another group has entries pending", facts({ stream: { groups: [...stream.groups, pending] } })],
  ["it is retired already", facts({ old: { retired: true } })],
])("a shard is not retired while %s", (_, given) => {
  expect(retirable(given)).toEqual([]);
});

test("a retired shard's stream is removed once its owner has let go, unless it was written to again", () => {
  const retired = { retired: true, owner: undefined };
  expect(streams(removable(facts({ old: retired })))).toEqual(["cdc.0"]);
  expect(removable(facts({ old: { retired: true } }))).toEqual([]);
  expect(removable(facts({ old: retired, stream: { lastId: "501-0" } }))).toEqual([]);
  expect(removable(facts({ old: retired, stream: "absent" }))).toEqual([]);
  expect(removable(facts({}))).toEqual([]);
});

test("tombstones older than every entry that is left may go, less an hour for the clocks", () => {
  const hour = 3_600_000;
  expect(prunableBeforeMs([{ firstId: `${5 * hour}-0` }, { firstId: `${7 * hour}-0` }], 9 * hour)).toBe(
    4 * hour,
  );
  expect(prunableBeforeMs([{ firstId: undefined }], 9 * hour)).toBe(8 * hour);
});
