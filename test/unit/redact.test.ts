import { expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { redactConfig, redactText, redactUrl } from "../../src/config/redact.ts";

test("a URL keeps everything but its password", () => {
  expect(redactUrl("postgresql://app:hush@db:5432/read?sslmode=require")).toBe(
    "postgresql://app:***@db:5432/read?sslmode=require",
  );
  expect(redactUrl("redis://:hush@cache:6379")).toBe("redis://:***@cache:6379");
  expect(redactUrl("postgresql://db/read?password=hush")).not.toContain("hush");
  expect(redactUrl("no url, hush")).toBe("***");
});

test("URLs inside a text lose their passwords, those with an @ too", () => {
  expect(redactText("cannot reach redis://:hu@sh@cache:6379 now")).toBe(
    "cannot reach redis://:***@cache:6379 now",
  );
});

test("no secret option is shown whole", () => {
  const { config } = loadConfig({
    command: "run",
    flags: {},
    env: {
      SLUICE_REDIS_URL: "redis://:hush@cache",
      SLUICE_DATABASE_URL: "postgres://app:hush@db/read",
      SLUICE_SOURCE_URL: "postgres://app:hush@db/main",
    },
  });
  expect(JSON.stringify(redactConfig(config))).not.toContain("hush");
});
