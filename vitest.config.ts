import { defineConfig } from "vitest/config";

/** Suites by what they need: `unit` nothing, `live` Redis and PostgreSQL, `e2e` Debezium Server too. */
export default defineConfig({
  test: {
    projects: [
      // The time is for a machine that does much else; a test that hangs does so for ever.
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: 30_000 } },
      {
        test: {
          name: "live",
          include: ["test/live/**/*.test.ts"],
          globalSetup: ["test/support/live-setup.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
