import { expect, test } from "vitest";
import { CheckpointSamples } from "../../../src/maintenance/checkpoint-samples.ts";
import { excessMemory, memoryThreshold } from "../../../src/maintenance/memory.ts";
import { entryLimit, retainedFrom, surplus } from "../../../src/maintenance/retention.ts";

const unlimited = { retainAgeMs: 0, retainEntries: undefined, retainBytes: undefined };

test("entries younger than the age are kept; with 0 none is", () => {
  const facts = { nowMs: 10_000, limit: undefined, beyond: undefined };
  expect(retainedFrom({ ...facts, retainAgeMs: 1_000 })).toEqual({ id: "9001-0", by: "age" });
  expect(retainedFrom({ ...facts, retainAgeMs: 0 }).id).toBe("10001-0");
  expect(retainedFrom({ ...facts, retainAgeMs: 20_000 }).id).toBe("0-0");
});

test("an entry is kept only if every limit keeps it", () => {
  const limit = { entries: 10, by: "entries" } as const;
  const facts = { nowMs: 10_000, retainAgeMs: 1_000, limit };
  expect(retainedFrom({ ...facts, beyond: "9500-3" })).toEqual({ id: "9500-4", by: "entries" });
  expect(retainedFrom({ ...facts, beyond: "500-3" })).toMatchObject({ by: "age" });
  expect(retainedFrom({ ...facts, beyond: undefined })).toMatchObject({ by: "age" });
});

test("the stricter of entries and bytes holds", () => {
  expect(entryLimit(unlimited, 100)).toBeUndefined();
  expect(entryLimit({ ...unlimited, retainEntries: 5 }, undefined)).toEqual({ entries: 5, by: "entries" });
  expect(entryLimit({ ...unlimited, retainBytes: 1_000 }, 100)).toEqual({ entries: 10, by: "bytes" });
  expect(entryLimit({ ...unlimited, retainBytes: 1_000, retainEntries: 5 }, 100)?.by).toBe("entries");
  expect(entryLimit({ ...unlimited, retainBytes: 1_000, retainEntries: 50 }, 100)?.by).toBe("bytes");
  expect(entryLimit({ ...unlimited, retainBytes: 1_000 }, undefined)).toBeUndefined();
});

test("the surplus counts applied entries that are still there, never unapplied ones", () => {
  const limit = { entries: 10, by: "entries" } as const;
  // 100 added, 30 of them gone, 80 applied: 50 applied ones are left.
  expect(surplus({ entries: 80n }, { added: 100n, length: 70 }, limit)).toBe(40);
  expect(surplus({ entries: 30n }, { added: 100n, length: 70 }, limit)).toBe(0);
});

test("samples tell the newest entry with at most so many before it", () => {
  const samples = new CheckpointSamples();
  for (const [id, entries] of [
    ["1-0", 10n],
    ["2-0", 20n],
    ["3-0", 30n],
  ] as const) {
    samples.note("cdc.0", { id, entries });
  }
  expect(samples.newestUpTo("cdc.0", 25n)?.id).toBe("2-0");
  expect(samples.newestUpTo("cdc.0", 9n)).toBeUndefined();
  expect(samples.newestUpTo("cdc.1", 25n)).toBeUndefined();
});

test("samples of a stream that went back are forgotten", () => {
  const samples = new CheckpointSamples();
  samples.note("cdc.0", { id: "5-0", entries: 50n });
  samples.note("cdc.0", { id: "2-0", entries: 10n });
  expect(samples.newestUpTo("cdc.0", 60n)?.id).toBe("2-0");
});

test("samples stay bounded and keep the newest", () => {
  const samples = new CheckpointSamples();
  for (let index = 1; index <= 5_001; index++)
    samples.note("cdc.0", { id: `${index}-0`, entries: BigInt(index) });
  expect(samples.newestUpTo("cdc.0", 9_999n)?.id).toBe("5001-0");
  expect(samples.newestUpTo("cdc.0", 2_000n)?.entries).toBeGreaterThan(1_700n);
  samples.forget(new Map([["cdc.0", "4000-0"]]));
  expect(samples.newestUpTo("cdc.0", 3_000n)).toBeUndefined();
  samples.forget(new Map());
  expect(samples.newestUpTo("cdc.0", 9_999n)).toBeUndefined();
});

test("memory is short above a size, or above a share of a maxmemory that is set", () => {
  expect(memoryThreshold("80%", { usedMemory: 0, maxmemory: 1_000 })).toBe(800);
  expect(memoryThreshold("80%", { usedMemory: 0, maxmemory: 0 })).toBeUndefined();
  expect(memoryThreshold("1KiB", { usedMemory: 0, maxmemory: 0 })).toBe(1024);
  expect(excessMemory("80%", { usedMemory: 900, maxmemory: 1_000 })).toBe(100);
  expect(excessMemory("80%", { usedMemory: 900, maxmemory: 0 })).toBe(0);
});
