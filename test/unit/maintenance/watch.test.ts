import { expect, test } from "vitest";
import { uncountedEntries } from "../../../src/maintenance/deleted-entries.ts";
import { Deregistration, leftoverConsumers } from "../../../src/maintenance/deregister.ts";
import { WarningBoard } from "../../../src/maintenance/warning-board.ts";
import {
  failOverWarnings,
  findingWarnings,
  memoryWarnings,
  shardWarnings,
  type WatchedShard,
} from "../../../src/maintenance/watch.ts";
import type { Warning } from "../../../src/observe/progress.ts";
import type { StreamFacts } from "../../../src/source/stream-facts.ts";
import type { RedisFacts } from "../../../src/source/stream-info.ts";
import { quietProgress } from "../../support/member.ts";

const server: RedisFacts = {
  version: "7.2.4",
  role: "master",
  maxmemoryPolicy: "noeviction",
  maxmemory: 1_000_000,
  usedMemory: 900_000,
  persistence: "aof",
  replicationId: "a",
};

function codes(warnings: readonly Warning[]): readonly string[] {
  return warnings.map(({ code }) => code);
}

test("memory above the threshold is told with the replay window that is left", () => {
  const [warning] = memoryWarnings("80%", server, 42);
  expect(warning?.code).toBe("REDIS_MEMORY_HIGH");
  expect(warning?.message).toContain("42 s");
  expect(memoryWarnings("95%", server, 42)).toEqual([]);
  expect(memoryWarnings("80%", { ...server, maxmemory: 0 }, 42)).toEqual([]);
});

test("another Redis server is told for an hour", () => {
  expect(failOverWarnings(undefined)).toEqual([]);
  expect(codes(failOverWarnings(3_599))).toEqual(["REDIS_FAILED_OVER"]);
  expect(failOverWarnings(3_601)).toEqual([]);
});

const shard: WatchedShard = {
  stream: "cdc.0",
  generation: 1,
  retired: false,
  checkpoint: "5-0",
  firstId: "1-0",
  lastId: "5-0",
};
const next: WatchedShard = { ...shard, stream: "cdc.g2.0", generation: 2, firstId: "10-0", lastId: "12-0" };

test("shards that the configuration does not name are told, earlier generations are not", () => {
  expect(codes(shardWarnings([shard], ["cdc.1"]))).toEqual(["STREAM_FORGOTTEN"]);
  expect(shardWarnings([shard], ["cdc.0"])).toEqual([]);
  expect(shardWarnings([shard, next], ["cdc.g2.0"])).toEqual([]);
});

test("an earlier generation that is still written to is told", () => {
  const told = ["OLD_GENERATION_WRITTEN"];
  expect(codes(shardWarnings([{ ...shard, lastId: "11-0" }, next], ["cdc.g2.0"]))).toEqual(told);
  const retired = { ...shard, retired: true };
  expect(codes(shardWarnings([{ ...retired, lastId: "6-0" }, next], ["cdc.g2.0"]))).toEqual(told);
  expect(shardWarnings([retired, next], ["cdc.g2.0"])).toEqual([]);
  const unread = { ...next, firstId: undefined, lastId: undefined };
  expect(shardWarnings([shard, unread], ["cdc.g2.0"])).toEqual([]);
});

test("entries that vanished unapplied are counted only at the stream's end", () => {
  expect(uncountedEntries({ checkpoint: "5-0", entries: 5n }, { lastId: "5-0", added: 8n })).toBe(3n);
  expect(uncountedEntries({ checkpoint: "4-0", entries: 4n }, { lastId: "5-0", added: 8n })).toBeUndefined();
});

test("what happened to a stream is told for an hour, each by itself", () => {
  const finding = { deleted: 3, deletedSecondsAgo: 3_600, beganAnew: null, beganAnewSecondsAgo: null };
  const anew = { deleted: 0, deletedSecondsAgo: null, beganAnew: "made anew", beganAnewSecondsAgo: 5 };
  const told = findingWarnings([
    { stream: "cdc.0", ...finding },
    { stream: "cdc.1", ...anew },
    { stream: "cdc.2", ...finding, deletedSecondsAgo: 3_601 },
  ]);
  expect(told).toMatchObject([
    { code: "ENTRIES_DELETED", stream: "cdc.0", message: expect.stringContaining("3 entries") },
    { code: "STREAM_BEGUN_ANEW", stream: "cdc.1", message: expect.stringContaining("made anew") },
  ]);
});

test("a second stream's warning is told although the first one's of that code is known", () => {
  const told: (string | undefined)[] = [];
  const board = new WarningBoard({
    warningBegan: ({ stream }) => void told.push(stream),
    warningEnded: () => undefined,
  });
  const warning = { code: "A", message: "", remedy: "" };
  board.update([{ ...warning, stream: "cdc.0" }]);
  board.update([
    { ...warning, stream: "cdc.0" },
    { ...warning, stream: "cdc.1" },
  ]);
  expect(told).toEqual(["cdc.0", "cdc.1"]);
});

test("a warning is told when it begins and when it has ended, not while it comes and goes", () => {
  const told: string[] = [];
  const board = new WarningBoard({
    warningBegan: ({ code }) => void told.push(`+${code}`),
    warningEnded: ({ code }) => void told.push(`-${code}`),
  });
  const warning = { code: "A", message: "", remedy: "" };
  for (const seen of [[warning], [], [warning], [], [], [], []]) board.update(seen);
  expect(told).toEqual(["+A", "-A"]);
});

test("consumers other than the owner are asked away each round, and told once they are gone", () => {
  expect(leftoverConsumers(["me", "gone", "late"], "me")).toEqual(["gone", "late"]);
  const told: (readonly string[])[] = [];
  const asked: (readonly string[])[] = [];
  const progress = {
    ...quietProgress,
    consumersRemoved: (_: string, names: readonly string[]) => void told.push(names),
  };
  const deregistration = new Deregistration("me", progress);
  const owned = [
    {
      stream: "cdc.0",
      isRead: true,
      removeConsumers: (names: readonly string[]) => void asked.push(names),
      countDeleted: () => undefined,
    },
  ];
  const seen = (...consumers: readonly string[]) =>
    new Map([["cdc.0", { consumers } as Partial<StreamFacts> as StreamFacts]]);
  deregistration.removeOthers(owned, seen("me", "gone"));
  deregistration.removeOthers(owned, seen("me", "gone"));
  deregistration.removeOthers(owned, seen("me"));
  deregistration.removeOthers(owned, seen("me"));
  expect(asked).toEqual([["gone"], ["gone"]]);
  expect(told).toEqual([["gone"]]);
});
