import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensurePrograms, findJava } from "../demo/local/install.ts";

interface Counts {
  readonly passed: number;
  readonly failed: number;
}

type Suite = (folder: string) => Promise<Counts>;

const root = join(import.meta.dirname, "..");
const router = join(root, "debezium/shard-router");

/** In the order in which they run: the quick ones first. */
const suites: Readonly<Record<string, Suite>> = {
  unit: (folder) => vitest("unit", folder),
  router: runRouterTests,
  live: (folder) => vitest("live", folder),
  e2e: (folder) => vitest("e2e", folder),
};

async function main(): Promise<number> {
  const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(suites);
  const unknown = names.filter((name) => suites[name] === undefined);
  if (unknown.length > 0) {
    console.error(`unknown suite: ${unknown.join(", ")}; there are ${Object.keys(suites).join(", ")}`);
    return 1;
  }
  if ((await run("npm", ["run", "build"])) !== 0) {
    console.log("the build failed\n0 passed, 1 failed");
    return 1;
  }
  const folder = mkdtempSync(join(tmpdir(), "sluice-results-"));
  let total: Counts = { passed: 0, failed: 0 };
  try {
    for (const name of names) total = sum(total, await runSuite(name, folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
}

/** A suite that could not run, or found nothing to run, has failed. */
async function runSuite(name: string, folder: string): Promise<Counts> {
  console.log(`\n== ${name}`);
  try {
    const counts = (await suites[name]?.(folder)) ?? { passed: 0, failed: 1 };
    if (counts.passed + counts.failed > 0) return counts;
    console.error(`${name}: no test ran`);
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return { passed: 0, failed: 1 };
}

async function vitest(project: string, folder: string): Promise<Counts> {
  const file = join(folder, `${project}.json`);
  const cli = join(root, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const code = await run(process.execPath, [cli, "run", "--project", project, ...reporters]);
  if (!existsSync(file)) throw new Error(`vitest ended with ${code} and left no result`);
  const counts = vitestCounts(JSON.parse(readFileSync(file, "utf8")));
  // A file that cannot be loaded and an error outside of all tests fail no test, but the run.
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

function vitestCounts(result: unknown): Counts {
  if (typeof result !== "object" || result === null) return { passed: 0, failed: 0 };
  const count = (name: string) => {
    const value: unknown = Reflect.get(result, name);
    return typeof value === "number" ? value : 0;
  };
  return { passed: count("numPassedTests"), failed: count("numFailedTests") };
}

async function runRouterTests(): Promise<Counts> {
  await ensurePrograms(["maven", "java"]);
  const java = await findJava();
  const reports = join(router, "target/surefire-reports");
  // Reports of an earlier run would be counted again.
  rmSync(reports, { recursive: true, force: true });
  const env = { ...process.env, ...(java === undefined ? {} : { JAVA_HOME: java.home }) };
  const code = await run("mvn", ["-B", "-q", "test"], router, env);
  const files = existsSync(reports) ? readdirSync(reports).filter((name) => name.endsWith(".xml")) : [];
  const counts = files
    .map((name) => surefireCounts(readFileSync(join(reports, name), "utf8")))
    .reduce(sum, { passed: 0, failed: 0 });
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

function surefireCounts(xml: string): Counts {
  const head = /<testsuite\b[^>]*>/.exec(xml)?.[0] ?? "";
  const count = (name: string) => Number(new RegExp(`\\s${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  const failed = count("failures") + count("errors");
  return { passed: count("tests") - failed - count("skipped"), failed };
}

function sum(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed };
}

async function run(command: string, args: readonly string[], cwd = root, env = process.env): Promise<number> {
  const child = spawn(command, [...args], { cwd, env, stdio: "inherit" });
  const [code] = await once(child, "close");
  return typeof code === "number" ? code : 1;
}

process.exitCode = await main();
