import { expect, test } from "vitest";
import { statusText } from "../../src/cli/status.ts";
import type { ShardStatus } from "../../src/pipeline/status.ts";

const shard: ShardStatus = {
  stream: "cdc.0",
  state: "running",
  owner: "one",
  epoch: 3,
  checkpoint: "1700000000000-0",
  lagEntries: 12,
  pendingEntries: 2,
  freshnessSeconds: 0.25,
  lastError: null,
  generation: 1,
  entries: 1200,
  oldestId: "1699999000000-0",
  replayWindowSeconds: 3000,
  bytes: 3 * 2 ** 20,
};

const member = {
  ...{ name: "one", host: "db1", version: "0.1.0", lastSeen: "2026-01-01T00:00:00.000Z" },
  ...{ shards: ["cdc.0"], state: "running" as const },
};

const report = {
  pipeline: "default",
  collectedAt: "2026-01-01T00:00:00.000Z",
  members: [member],
  shards: [shard],
  warnings: [],
};

test("columns line up under their headings", () => {
  const lines = statusText(report).split("\n");
  const heading = lines.find((line) => line.startsWith("STREAM")) ?? "";
  const row = lines.find((line) => line.startsWith("cdc.0")) ?? "";
  expect(row.slice(heading.indexOf("CHECKPOINT"))).toMatch(/^1700000000000-0 /);
  expect(row.slice(heading.indexOf("LAG"))).toMatch(/^12 /);
});

test("a member beyond the number of shards is said to stand by, one that cannot reach Redis to be cut off", () => {
  const others = [
    { ...member, name: "two", shards: [] },
    { ...member, name: "three", shards: [], state: "cut-off" as const },
  ];
  const text = statusText({ ...report, members: [member, ...others] });
  expect(text).toMatch(/^one .* 1 +running$/m);
  expect(text).toMatch(/^two .* 0 +standing by$/m);
  expect(text).toMatch(/^three .* 0 +cut-off$/m);
});

test("what is left for replays is readable", () => {
  expect(statusText(report)).toMatch(/^cdc\.0 .* 1200 +3\.0MiB +50m +-$/m);
});

test("what is not known shows as ?, never as 0", () => {
  const unknown = {
    ...shard,
    owner: null,
    lagEntries: null,
    pendingEntries: null,
    freshnessSeconds: null,
    entries: null,
    oldestId: null,
    replayWindowSeconds: null,
    bytes: null,
  };
  expect(statusText({ ...report, shards: [unknown] })).toMatch(
    /^cdc\.0 +1 +running +- +\S+ +\? +\? +\? +\? +\? +\? +-$/m,
  );
});

test("an error and a warning are shown with their codes", () => {
  const stopped = { ...shard, lastError: { code: "TABLE_MISSING", message: "no table" } };
  const warnings = [{ code: "NO_MEMBER", message: "no member", remedy: "Start one." }];
  const text = statusText({ ...report, shards: [stopped], warnings });
  expect(text).toContain("TABLE_MISSING: no table");
  expect(text).toContain("warning NO_MEMBER: no member — Start one.");
});
