import { expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";

async function call(
  argv: readonly string[],
  env: Record<string, string> = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  let out = "";
  let err = "";
  const code = await runProgram(argv, { out: (text) => (out += text), err: (text) => (err += text), env });
  return { code, out, err };
}

test.each([
  ["an unknown command", ["rnu"]],
  ["an unknown flag", ["status", "--jsn"]],
  ["a flag without its value", ["config", "--group"]],
  ["flags that exclude each other", ["config", "--json", "--schema"]],
  ["a missing option", ["status"]],
  ["a value that cannot be read", ["config", "--lease", "soon"]],
  ["no command", []],
])("%s exits 2 and says why on stderr", async (_, argv) => {
  const { code, out, err } = await call(argv);
  expect(code).toBe(2);
  expect(out).toBe("");
  expect(err).not.toBe("");
});

test("a configuration error shows code and remedy", async () => {
  const { err } = await call(["config", "--lease", "soon"]);
  expect(err).toMatch(/^error CONFIG_INVALID: lease \(--lease\): /);
  expect(err).toContain("\nremedy: ");
});

test("--help goes to stdout, exits 0 and names the environment", async () => {
  const { code, out } = await call(["run", "--help"]);
  expect(code).toBe(0);
  expect(out).toContain("--redis-url");
  expect(out).toContain("SLUICE_REDIS_URL");
});

test("version prints the version", async () => {
  expect(await call(["version"])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
});

test("config shows values with their origins and hides passwords", async () => {
  const { code, out } = await call(["config", "--json", "--batch-entries", "5"], {
    SLUICE_REDIS_URL: "redis://:hush@cache",
  });
  expect(code).toBe(0);
  expect(out).not.toContain("hush");
  expect(JSON.parse(out)).toMatchObject({
    batchEntries: { value: 5, origin: "--batch-entries" },
    redisUrl: { value: "redis://:***@cache", origin: "SLUICE_REDIS_URL" },
    group: { value: "sluice", origin: "default" },
  });
});

test("what config shows is what a file may say", async () => {
  const { out } = await call(["config", "--json", "--lease", "1500ms", "--retain-age", "2h"]);
  const shown = JSON.parse(out) as Record<string, { readonly value: unknown }>;
  expect(shown).toMatchObject({ lease: { value: "1500ms" }, retainAge: { value: "2h" } });
  const { out: schema } = await call(["config", "--schema"]);
  const { properties } = JSON.parse(schema) as { readonly properties: object };
  expect(Object.keys(shown)).toEqual(Object.keys(properties));
});

test("config --schema is a JSON Schema that refuses unknown keys", async () => {
  const { out } = await call(["config", "--schema"]);
  expect(JSON.parse(out)).toMatchObject({ type: "object", additionalProperties: false });
});

test("healthcheck exits 1 when nobody answers", async () => {
  expect((await call(["healthcheck", "--http-address", "127.0.0.1:1"])).code).toBe(1);
});
