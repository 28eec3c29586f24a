import { expect, test } from "vitest";
import { trimText, type TrimReport } from "../../src/cli/trim.ts";

const report: TrimReport = {
  pipeline: "default",
  dryRun: true,
  memoryIsShort: false,
  shards: [
    {
      stream: "cdc.0",
      checkpoint: "9-0",
      removed: 0,
      removable: 100_000,
      keptBy: { by: "age" },
      entries: 250_000,
      oldestId: "1-0",
      replayWindowSeconds: 7_300,
      bytes: 5 * 2 ** 20,
    },
    {
      stream: "cdc.1",
      checkpoint: null,
      removed: 0,
      removable: 0,
      keptBy: { by: "group", group: "audit" },
      entries: 0,
      oldestId: null,
      replayWindowSeconds: 0,
      bytes: null,
    },
  ],
};

test("a dry run says what would go, what is left and what keeps it", () => {
  const text = trimText(report);
  expect(text).toMatch(/^cdc\.0 +100000\+ +250000 +5\.0MiB +1-0 +2\.0h +SLUICE_RETAIN_AGE$/m);
  expect(text).toMatch(/^cdc\.1 +0 +0 +\? +- +- +-$/m);
});

test("a round says what went, who keeps the rest, and that memory is short", () => {
  const shards = report.shards.map((shard) => ({
    ...shard,
    removed: 70,
    entries: 5,
    keptBy: { by: "group", group: "audit" } as const,
  }));
  const text = trimText({ ...report, dryRun: false, memoryIsShort: true, shards });
  expect(text).toMatch(/^Redis's memory is short/);
  expect(text).toMatch(/^cdc\.0 +70 +5 .* group audit$/m);
});
