import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { loadConfig, type LoadOptions } from "../../src/config/load.ts";
import { SluiceError } from "../../src/errors/sluice-error.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-load-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const urls = {
  SLUICE_REDIS_URL: "redis://127.0.0.1:6379",
  SLUICE_DATABASE_URL: "postgresql://127.0.0.1/read",
};

function load(options: Partial<LoadOptions> = {}): ReturnType<typeof loadConfig> {
  return loadConfig({ command: "run", flags: {}, env: urls, ...options });
}

function failure(options: Partial<LoadOptions>): SluiceError {
  try {
    load(options);
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

test("defaults fill what nobody gave", () => {
  const { config, origins } = load();
  expect(config).toMatchObject({
    streams: ["cdc.0", "cdc.1", "cdc.2", "cdc.3", "cdc.4", "cdc.5", "cdc.6", "cdc.7"],
    group: "sluice",
    leaseMs: 10_000,
    batchBytes: 8 * 1024 * 1024,
    retainEntries: undefined,
    sourceUrl: undefined,
    tables: [],
  });
  expect(origins).toMatchObject({ group: "default", retainEntries: "unset", redisUrl: "SLUICE_REDIS_URL" });
});

test("flags win over environment, environment over file, file over defaults", () => {
  const path = file(
    "all.yaml",
    "group: file\npipeline: file\nlease: 3s\nbatchEntries: 7\nstreams: [a, 'b.{0..1}']\n",
  );
  const { config, origins } = load({
    file: path,
    env: { ...urls, SLUICE_GROUP: "env", SLUICE_PIPELINE: "env" },
    flags: { group: "flag" },
  });
  expect(config).toMatchObject({
    group: "flag",
    pipeline: "env",
    leaseMs: 3_000,
    batchEntries: 7,
    streams: ["a", "b.0", "b.1"],
  });
  expect(origins).toMatchObject({ group: "--group", pipeline: "SLUICE_PIPELINE", leaseMs: `${path}:3` });
});

test("SLUICE_CONFIG names the file when no flag does", () => {
  const path = file("env.yaml", "group: fromFile\n");
  expect(load({ env: { ...urls, SLUICE_CONFIG: path } }).config.group).toBe("fromFile");
});

test("all mistakes are reported at once", () => {
  const path = file("bad.yaml", "grop: x\nlease: soon\nbatchEntries: many\n");
  const error = failure({ file: path, env: { SLUICE_STREAM: "a", SLUICE_HTTP_ADDRESS: "nowhere" } });
  expect(error.code).toBe("CONFIG_INVALID");
  for (const part of [
    "unknown key grop; did you mean group?",
    "unknown environment variable SLUICE_STREAM; did you mean SLUICE_STREAMS?",
    `lease (${path}:2): expected a duration`,
    "batchEntries",
    "httpAddress (SLUICE_HTTP_ADDRESS): expected an address",
    "redisUrl is missing: set SLUICE_REDIS_URL or --redis-url",
    "databaseUrl is missing",
  ]) {
    expect(error.message).toContain(part);
  }
});

test("a secret is read from the file that …_FILE names", () => {
  const path = file("secret", "redis://:hush@127.0.0.1:6379\n");
  const env = { SLUICE_DATABASE_URL: urls.SLUICE_DATABASE_URL, SLUICE_REDIS_URL_FILE: path };
  expect(load({ env }).config.redisUrl).toBe("redis://:hush@127.0.0.1:6379");
});

test("a secret given twice, or in a file that is not there, is an error", () => {
  expect(failure({ env: { ...urls, SLUICE_REDIS_URL_FILE: "/nowhere" } }).message).toContain("both set");
  const env = { SLUICE_DATABASE_URL: urls.SLUICE_DATABASE_URL, SLUICE_REDIS_URL_FILE: "/nowhere" };
  expect(failure({ env }).message).toContain("cannot read /nowhere");
});

test("an error never shows a secret's value", () => {
  const error = failure({ env: { ...urls, SLUICE_REDIS_URL: "http://user:hush@host" } });
  expect(error.message).toContain("redisUrl");
  expect(error.message).not.toContain("hush");
});

test("only what the command needs is required", () => {
  expect(load({ command: "healthcheck", env: {} }).config.redisUrl).toBe("");
  expect(failure({ command: "migrate", required: ["sourceUrl"] }).message).toContain("sourceUrl is missing");
});

test("empty variables count as unset, and Kubernetes's are let through", () => {
  const env = {
    ...urls,
    SLUICE_RETAIN_ENTRIES: "",
    SLUICE_PORT: "tcp://10.0.0.1:9470",
    SLUICE_SERVICE_HOST: "10.0.0.1",
  };
  expect(load({ env }).config.retainEntries).toBeUndefined();
});

test("a stream named twice is an error", () => {
  expect(failure({ flags: { streams: "a,b,a" } }).message).toContain('"a" is there twice');
  expect(failure({ flags: { streams: "," } }).message).toContain("at least one name");
  const { message } = failure({ flags: { tables: "orders", group: "" } });
  expect(message).toContain('"orders" is not schema.table');
  expect(message).toContain("group");
});
