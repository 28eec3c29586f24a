import { expect, test } from "vitest";
import { SluiceError } from "../../src/errors/sluice-error.ts";
import { logProgress } from "../../src/observe/log-progress.ts";
import { createLogger } from "../../src/observe/logger.ts";

function recorded(level: "info" | "debug" = "info"): {
  readonly lines: Record<string, unknown>[];
  readonly logger: ReturnType<typeof createLogger>;
} {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { lines, logger: createLogger({ level, version: "1", member: "me", destination }) };
}

test("an error line has code, place, remedy and no value from the driver's message", () => {
  const { lines, logger } = recorded();
  const cause = Object.assign(new Error("invalid input: planted-value"), { code: "22P02" });
  const error = new SluiceError("VALUE_INVALID", "a value does not fit", {
    place: { stream: "cdc.0", entryId: "1-0" },
    cause,
  });
  logProgress(logger).shardState("cdc.0", "stopped", error);
  expect(lines).toMatchObject([
    {
      level: "error",
      event: "shard_stopped",
      stream: "cdc.0",
      service: "sluice",
      member: "me",
      err: { code: "VALUE_INVALID", entryId: "1-0", cause: "Error 22P02" },
    },
  ]);
  expect(lines[0]).toHaveProperty("err.remedy");
  expect(JSON.stringify(lines)).not.toContain("planted-value");
});

test("identical errors give one line in 10 s, and the next one counts those held back", () => {
  const { lines, logger } = recorded();
  let now = 0;
  const progress = logProgress(logger, () => now);
  const error = new SluiceError("REDIS_UNAVAILABLE", "gone");
  for (let time = 0; time < 5; time += 1) progress.retried("receive", error);
  expect(lines).toHaveLength(1);
  now = 10_000;
  progress.retried("receive", error);
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({ event: "retried", repeated: 4 });
});

test("a state is logged when it changes", () => {
  const { lines, logger } = recorded();
  const progress = logProgress(logger);
  progress.shardState("cdc.0", "running", undefined);
  progress.shardState("cdc.0", "running", undefined);
  expect(lines).toHaveLength(1);
});

test("a warning is one line when it begins and one when it ends, with its code and remedy", () => {
  const { lines, logger } = recorded();
  const progress = logProgress(logger);
  const warning = { code: "REDIS_EVICTS", message: "it evicts", remedy: "Stop it." };
  progress.warningBegan(warning);
  progress.warningEnded(warning);
  expect(lines).toMatchObject([
    { level: "warn", event: "warning_began", code: "REDIS_EVICTS", remedy: "Stop it." },
    { level: "info", event: "warning_ended", code: "REDIS_EVICTS" },
  ]);
});

test("removed consumers and retired shards are told, trimming only at level debug", () => {
  const { lines, logger } = recorded();
  const progress = logProgress(logger);
  progress.entriesTrimmed("cdc.0", 100);
  progress.tombstonesPruned(5);
  progress.consumersRemoved("cdc.0", ["gone"]);
  progress.shardRetired("cdc.1", "marked");
  expect(lines).toMatchObject([
    { event: "consumers_removed", stream: "cdc.0", consumers: ["gone"] },
    { event: "shard_retired", stream: "cdc.1", step: "marked" },
  ]);
});
