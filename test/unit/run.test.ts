import { expect, test } from "vitest";
import { untilStopped } from "../../src/cli/run.ts";
import { SluiceError } from "../../src/errors/sluice-error.ts";
import type { Logger } from "../../src/observe/logger.ts";
import type { Pipeline } from "../../src/pipeline/pipeline.ts";

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent, fatal: silent };
const never = new Promise<never>(() => undefined);
const health = {
  registered: true,
  draining: false,
  tickAgeMs: 0,
  redisReachable: true,
  databaseReachable: true,
};

interface Scene {
  readonly pipeline?: Partial<Pipeline>;
  readonly stop?: Promise<NodeJS.Signals>;
  readonly interrupt?: Promise<"interrupt">;
}

function exitOf(scene: Scene): Promise<number> {
  const pipeline = {
    start: async () => {},
    drain: async () => {},
    failed: never,
    health: () => health,
    warnings: () => [],
    ...scene.pipeline,
  };
  const signals = {
    stop: scene.stop ?? never,
    interrupt: scene.interrupt ?? never,
    [Symbol.dispose]: silent,
  };
  return untilStopped({ pipeline, signals, logger, drainDeadlineMs: 1 });
}

const stop = Promise.resolve("SIGTERM" as const);

test("a signal drains and exits 0, also while a store keeps the start waiting", async () => {
  expect(await exitOf({ stop })).toBe(0);
  expect(await exitOf({ stop, pipeline: { start: () => never } })).toBe(0);
});

test("a second interrupt exits 130 at once", async () => {
  expect(
    await exitOf({ stop, interrupt: Promise.resolve("interrupt"), pipeline: { drain: () => never } }),
  ).toBe(130);
});

const late = (): Promise<void> => Promise.reject(new SluiceError("INTERNAL", "late"));

test("a drain past its deadline exits 1, whether the pipeline says so or hangs", async () => {
  expect(await exitOf({ stop, pipeline: { drain: late } })).toBe(1);
  expect(await exitOf({ stop, pipeline: { drain: () => never } })).toBe(1);
});

test.each([
  ["SCHEMA_MISSING", 4],
  ["SCHEMA_TOO_NEW", 4],
  ["CONFIG_INVALID", 2],
  ["MEMBER_REPLACED", 5],
  ["INTERNAL", 1],
] as const)("%s ends the process with %i", async (code, expected) => {
  const error = new SluiceError(code, "so it is");
  expect(await exitOf({ pipeline: { start: () => Promise.reject(error) } })).toBe(expected);
  expect(await exitOf({ pipeline: { failed: Promise.resolve(error) } })).toBe(expected);
});
