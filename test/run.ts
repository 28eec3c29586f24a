import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSluice } from "../demo/local/build-sluice.ts";
import { ensureJava } from "../demo/local/install.ts";

/**
 * Runs every suite in turn, or those named: `node test/run.ts unit live`.
 *
 * The last line is `N passed, N failed`. A suite that could not run, or that ran no test, counts as one failure: silence is not success.
 */
interface Counts {
  readonly passed: number;
  readonly failed: number;
}

const root = join(import.meta.dirname, "..");

const suites: Readonly<Record<string, () => Promise<Counts>>> = {
  unit: () => runVitest("unit"),
  router: runRouterTests,
  live: () => runBuilt("live"),
  e2e: () => runBuilt("e2e"),
  chaos: runChaos,
};

/** These suites start the built program. */
async function runBuilt(project: string): Promise<Counts> {
  await buildSluice();
  return runVitest(project);
}

/** The short form: a few faults of a seed that it prints. `npm run chaos` has the long one. */
async function runChaos(): Promise<Counts> {
  await buildSluice();
  const main = join(root, "test", "chaos", "main.ts");
  const ok = await runProgram(process.execPath, [main, "--faults", "15"], root);
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1 };
}

async function runVitest(project: string): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-report-"));
  const report = join(folder, "report.json");
  try {
    const cli = join(root, "node_modules", "vitest", "vitest.mjs");
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
    const ok = await runProgram(process.execPath, [cli, "run", "--project", project, ...reporters], root);
    return honest(
      existsSync(report) ? vitestCounts(readFileSync(report, "utf8")) : { passed: 0, failed: 0 },
      ok,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

/** A file that could not be loaded has no tests to fail: it counts by itself. */
function vitestCounts(json: string): Counts {
  const report = JSON.parse(json) as VitestReport;
  const unloaded = report.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  );
  return { passed: report.numPassedTests, failed: report.numFailedTests + unloaded.length };
}

async function runRouterTests(): Promise<Counts> {
  const { mvn, jdk } = await ensureJava();
  const project = join(root, "debezium", "shard-router");
  const reports = join(project, "target", "surefire-reports");
  // Reports of an earlier run must not stand in for this one's.
  rmSync(reports, { recursive: true, force: true });
  const ok = await runProgram(mvn, ["-B", "-q", "test"], project, { JAVA_HOME: jdk.home });
  return honest(existsSync(reports) ? surefireCounts(reports) : { passed: 0, failed: 0 }, ok);
}

function surefireCounts(folder: string): Counts {
  let [passed, failed] = [0, 0];
  for (const name of readdirSync(folder).filter((each) => /^TEST-.*\.xml$/.test(each))) {
    const head = /<testsuite\b[^>]*>/.exec(readFileSync(join(folder, name), "utf8"))?.[0] ?? "";
    const count = (attribute: string): number =>
      Number(new RegExp(` ${attribute}="(\\d+)"`).exec(head)?.[1] ?? 0);
    const bad = count("failures") + count("errors");
    failed += bad;
    passed += count("tests") - bad - count("skipped");
  }
  return { passed, failed };
}

/** An exit code other than 0 is a failure even when every single test passed; so is a suite without any. */
function honest(counts: Counts, ok: boolean): Counts {
  const unexplained = counts.failed === 0 && (!ok || counts.passed === 0);
  return unexplained ? { ...counts, failed: 1 } : counts;
}

async function runProgram(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<boolean> {
  const child = spawn(command, args, { cwd, stdio: "inherit", env: { ...process.env, ...env } });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code === 0));
  });
}

async function runSuite(name: string): Promise<Counts> {
  console.log(`\n── ${name}`);
  try {
    const run = suites[name];
    if (run === undefined)
      throw new Error(`there is no suite ${name}; there are ${Object.keys(suites).join(", ")}`);
    return await run();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return { passed: 0, failed: 1 };
  }
}

const named = process.argv.slice(2);
const results: [string, Counts][] = [];
for (const name of named.length > 0 ? named : Object.keys(suites)) results.push([name, await runSuite(name)]);

console.log("");
for (const [name, { passed, failed }] of results) console.log(`${name}: ${passed} passed, ${failed} failed`);
const total = results.reduce((sum, [, counts]) => sum + counts.failed, 0);
console.log(`${results.reduce((sum, [, counts]) => sum + counts.passed, 0)} passed, ${total} failed`);
process.exitCode = total === 0 ? 0 : 1;
