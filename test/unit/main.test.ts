import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** The program as a process of its own, without options of the environment that the tests run in. */
async function sluice(args: readonly string[], reader: "reads" | "leaves" = "reads"): Promise<Ended> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("SLUICE_"));
  const child = spawn(process.execPath, [main, ...args], {
    env: Object.fromEntries(inherited),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  if (reader === "leaves") child.stdout.destroy();
  else child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { code, out, err };
}

test("a usage error ends the process with 2 and says why on stderr", async () => {
  const { code, out, err } = await sluice(["rnu"]);
  expect(code).toBe(2);
  expect(out).toBe("");
  expect(err).toContain("unknown command 'rnu'");
});

test("a configuration error ends the process with 2 and names each mistake and the remedy", async () => {
  const { code, out, err } = await sluice(["run", "--lease", "soon"]);
  expect(code).toBe(2);
  expect(out).toBe("");
  expect(err).toMatch(/^error CONFIG_INVALID: /);
  for (const named of ["SLUICE_REDIS_URL", "SLUICE_DATABASE_URL", "lease (--lease)", "\nremedy: "]) {
    expect(err).toContain(named);
  }
});

test("--help ends the process with 0 and all of the text on stdout", async () => {
  const { code, out, err } = await sluice(["run", "--help"]);
  expect(code).toBe(0);
  expect(err).toBe("");
  expect(out).toContain("--drain-deadline");
});

test("a reader that closes the pipe early is no failure", async () => {
  const { code, err } = await sluice(["config", "--schema"], "leaves");
  expect(code).toBe(0);
  expect(err).toBe("");
});
