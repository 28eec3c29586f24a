import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { findPostgresFolder, findProgram } from "../../demo/local/locate.ts";
import type { ChaosOptions } from "./options.ts";
import { recoveryLimits } from "./recovery.ts";
import type { ChaosResult } from "./run.ts";
import { leaseMs, memberCount, shardCount } from "./stage.ts";

/** The recorded run, in Markdown. */
export function reportOf(result: ChaosResult, options: ChaosOptions): string {
  const { plan, checks, recovery, logs, settleSeconds } = result;
  const failed = checks.filter(({ problems }) => problems.length > 0);
  return `# Chaos

Written by \`npm run chaos -- --seed ${options.seed} --faults ${options.faults} --report docs/chaos.md\` on ${new Date().toISOString().slice(0, 10)}.

**${failed.length === 0 ? "Passed" : "Failed"}**: ${plan.length} faults in ${Math.round(result.seconds)} s, ${result.entries} entries
(${result.resent} of them sent again), ${result.trimmed} trimmed while it went on. ${memberCount} members and now and then a fourth, ${shardCount} shards, a lease of
${leaseMs / 1000} s, maintenance every second, applied entries kept for one second. Each member had fault-injecting proxies of its own before both stores.

${versions()}

## What held

In the end, after each 40 faults once all were healed, and, where a moment is meant, at every moment:

${checks.map(({ name, problems }) => `- ${problems.length === 0 ? "✓" : "✗"} ${name}${problems.map((problem) => `\n  - ${problem}`).join("")}`).join("\n")}

Moments were watched by triggers in the read database that fire for every row (no row goes back to an older position, no deleted row comes
back, no checkpoint and no epoch falls, one member for each epoch) and by ${result.looks} looks at both stores (nothing removed that was not applied).

## How fast

| | limit | least | median | most | times |
|---|---|---|---|---|---|
| a member killed: all its shards go on | ${recoveryLimits.killed} ms | ${spread(recovery.killed)} |
| a member stopped: all its shards go on | ${recoveryLimits.stopped} ms | ${spread(recovery.stopped)} |

Once all faults were healed, everything above held after at most ${Math.max(0, ...settleSeconds).toFixed(1)} s.

## Which faults

| fault | times |
|---|---|
${counted(plan.map(({ kind }) => kind))
  .map(([kind, count]) => `| ${kind} | ${count} |`)
  .join("\n")}

What the members logged meanwhile, in lines (repeated lines are held back):

| code | lines |
|---|---|
${[...logs.codes]
  .sort()
  .map(([code, lines]) => `| ${code} | ${lines} |`)
  .join("\n")}
`;
}

function spread(times: readonly number[]): string {
  const sorted = times.toSorted((left, right) => left - right);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return `${sorted[0]} ms | ${median} ms | ${sorted.at(-1)} ms | ${sorted.length}`;
}

function counted(values: readonly string[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort();
}

function versions(): string {
  const version = (command: string): string =>
    execFileSync(command, ["--version"], { encoding: "utf8" }).trim().split("\n")[0] ?? "";
  const redis = /v=([\d.]+)/.exec(version(findProgram("redis-server") ?? "redis-server"))?.[1];
  const postgres = /([\d.]+)/.exec(version(`${findPostgresFolder() ?? "."}/postgres`))?.[1];
  return `Node ${process.versions.node}, Redis ${redis}, PostgreSQL ${postgres}, ${cpus().length} CPUs, ${process.platform}.`;
}
