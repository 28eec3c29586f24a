import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atExit } from "../../demo/local/process.ts";
import { Findings } from "./findings.ts";
import { readOptions, type ChaosOptions } from "./options.ts";
import { reportOf } from "./report.ts";
import { runChaos, type ChaosResult } from "./run.ts";

/**
 * Three members, eight shards, a load, and faults one over the other: kills, pauses, broken links, stores that go down. Whatever
 * happens, the read database ends equal to what was sent, and certain things are never seen on the way.
 *
 * `npm run chaos -- --seed N` plans the same faults again; how they meet the load is not the same to the millisecond.
 */
async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  const again = `node test/chaos/main.ts --seed ${options.seed} --faults ${options.faults}`;
  console.log(`${options.faults} faults, seed ${options.seed}; again: ${again}`);
  const folder = mkdtempSync(join(tmpdir(), "sluice-chaos-"));
  // PostgreSQL runs as another user when we are root.
  chmodSync(folder, 0o711);
  let keep = false;
  atExit(() => keep || rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  try {
    const result = await runChaos(options, folder, new Findings());
    const failed = tell(result, options);
    keep = failed > 0;
    if (failed === 0) return 0;
  } catch (error) {
    keep = true;
    console.error(error);
  }
  console.log(`logs and data: ${folder}\nagain: ${again}`);
  return 1;
}

/** Returns the number of checks that failed. */
function tell(result: ChaosResult, options: ChaosOptions): number {
  console.log(`\n${result.plan.length} faults in ${Math.round(result.seconds)} s, ${result.entries} entries`);
  for (const { name, problems } of result.checks) {
    console.log(`${problems.length === 0 ? "✓" : "✗"} ${name}`);
    for (const problem of problems) console.log(`    ${problem}`);
  }
  if (options.report !== undefined) {
    writeFileSync(options.report, reportOf(result, options));
    console.log(`report: ${options.report}`);
  }
  return result.checks.filter(({ problems }) => problems.length > 0).length;
}

process.exitCode = await main();
