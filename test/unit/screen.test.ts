import { expect, test } from "vitest";
import { createScreen } from "../../demo/screen.ts";
import type { Sample } from "../../demo/status.ts";

function sample(atMs: number, added: number): Sample {
  const shard = {
    ...{ stream: "cdc.0", state: "running", owner: "a", lastError: null },
    ...{ lagEntries: 0, pendingEntries: 0, freshnessSeconds: 0, added, applied: added },
  };
  return { atMs, collectedAtMs: atMs, shards: [shard], warnings: [] };
}

function recorded(isTTY: boolean): {
  readonly written: string[];
  readonly screen: ReturnType<typeof createScreen>;
} {
  const written: string[] = [];
  const screen = createScreen({ isTTY, write: (text: unknown) => written.push(String(text)) > 0 });
  return { written, screen };
}

test("a log gets one line a time, and the shards once, at the end, with averages over the run", () => {
  const { written, screen } = recorded(false);
  for (const [at, added] of [
    [0, 100],
    [2_000, 300],
    [4_000, 1_100],
  ] as const)
    screen.show(sample(at, added));
  expect(written.map((text) => text.split("\n").length)).toEqual([2, 2, 2]);
  screen.conclude(sample(10_000, 2_100));
  const table = written.at(-1) ?? "";
  expect(table).toMatch(/^STREAM +STATE +OWNER +EVENTS\/S +LAG +PENDING +FRESHNESS$/m);
  expect(table).toMatch(/^cdc\.0 +running +a +200 +0 +0 +0\.0 s$/m);
});

test("a terminal has the table all the time, in place, and not once more", () => {
  const { written, screen } = recorded(true);
  screen.show(sample(0, 100));
  screen.show(sample(2_000, 300));
  expect(written[0]).toContain("STREAM");
  expect(written[1]).toContain("\u001b[");
  screen.conclude(sample(4_000, 300));
  expect(written).toHaveLength(2);
});
