import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

const main = join(import.meta.dirname, "../../demo/main.ts");

interface DemoRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What lies in the folder for temporary files afterwards. */
  readonly left: readonly string[];
}

/** Runs `npm run demo` without npm and a terminal; Ctrl-C comes once the load runs, where it is wanted. */
async function runDemo(args: readonly string[], ctrlC: boolean): Promise<DemoRun> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-demo-test-"));
  // PostgreSQL runs as another user when we are root, and has to reach what is below.
  chmodSync(folder, 0o711);
  try {
    const env = { ...process.env, TMPDIR: folder };
    const child = spawn(process.execPath, [main, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => void (output.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      const loading = output.stderr.includes("events/s in");
      output.stderr += text;
      if (ctrlC && !loading && output.stderr.includes("events/s in")) child.kill("SIGINT");
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    return { code, ...output, left: readdirSync(folder).filter((name) => !name.startsWith("hsperf")) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

it("the demo's verdict is on standard output, with the shards beside it, and nothing of it is left", async () => {
  const run = await runDemo(["--seconds", "3"], false);
  expect(run, run.stderr).toMatchObject({ code: 0, left: [] });
  expect(run.stdout).toMatch(/^( {2}shop\.\w+: [\d,]+ rows, equal\n){3}The databases are equal\.\n$/);
  expect(run.stderr.match(/^STREAM /gm)).toHaveLength(1);
});

it("Ctrl-C ends the demo with 0, or with 130 where a verdict was asked for", async () => {
  const endless = await runDemo([], true);
  expect(endless, endless.stderr).toMatchObject({ code: 0, stdout: "", left: [] });
  const asked = await runDemo(["--seconds", "600"], true);
  expect(asked, asked.stderr).toMatchObject({ code: 130, stdout: "", left: [] });
  expect(asked.stderr).toContain("interrupted before the verdict");
});
