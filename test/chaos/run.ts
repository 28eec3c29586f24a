import { Auditor } from "./auditor.ts";
import { waitForEnd, type EndCheck } from "./end-checks.ts";
import { faultKinds } from "./fault-kinds.ts";
import type { Findings } from "./findings.ts";
import { checkLogs, type LogSummary } from "./log-check.ts";
import type { ChaosOptions } from "./options.ts";
import { planFaults, type PlannedFault } from "./plan.ts";
import { measureRecovery, recoveryLimits, type Recovery } from "./recovery.ts";
import { memberCount, openStage, shardCount, type Stage } from "./stage.ts";
import { storm } from "./storm.ts";
import { Watcher } from "./watcher.ts";

export interface ChaosResult {
  readonly plan: readonly PlannedFault[];
  readonly checks: readonly EndCheck[];
  readonly recovery: Recovery;
  readonly logs: LogSummary;
  /** From the end of each round's faults until everything held, in seconds. */
  readonly settleSeconds: readonly number[];
  readonly entries: number;
  readonly resent: number;
  readonly trimmed: number;
  readonly looks: number;
  readonly seconds: number;
}

/** After so many faults everything heals and is checked, so that a failure is found near its cause. */
const faultsOfRound = 40;
const settleMs = 40_000;

export async function runChaos(
  options: ChaosOptions,
  folder: string,
  findings: Findings,
): Promise<ChaosResult> {
  const started = performance.now();
  const kinds = Object.fromEntries(Object.entries(faultKinds).map(([name, { holdMs }]) => [name, holdMs]));
  const plan = planFaults({ ...options, kinds, members: memberCount, shards: shardCount });
  await using stage = await openStage({ folder, seed: options.seed, findings });
  const auditor = new Auditor(stage.redis, stage.streams[0] ?? "");
  await auditor.start();
  const watcher = new Watcher(stage);
  watcher.start();
  for (const slot of stage.slots.slice(0, memberCount)) await slot.start();
  stage.load.start();
  const recovery = await measureRecovery(stage, plan.length >= 100 ? 5 : 1);
  const settleSeconds: number[] = [];
  let checks: readonly EndCheck[] = [];
  for (let from = 0; from < plan.length && !findings.any; from += faultsOfRound) {
    await storm(stage, plan.slice(from, from + faultsOfRound), tellFault(plan.length));
    await stopLoad(stage);
    const end = await waitForEnd({ stage, auditor, timeoutMs: settleMs });
    settleSeconds.push(end.seconds);
    checks = end.checks;
    noteProblems(findings, checks);
    console.log(`  healed; all held after ${end.seconds.toFixed(1)} s; ${stage.load.entries} entries so far`);
    stage.load.start();
  }
  await stopLoad(stage);
  const last = await endMembers(stage, auditor);
  await watcher.stop();
  await auditor.stop();
  const logs = checkLogs(folder);
  const all = [
    ...(checks.length === 0 ? [] : checks),
    ...last,
    {
      name: "the members' logs have no error that the faults do not explain",
      problems: logs.problems.slice(0, 5),
    },
    { name: "applied entries were trimmed", problems: watcher.trimmed > 0 ? [] : ["none was"] },
    ...recoveryChecks(recovery),
    { name: "nothing was seen on the way that must never be", problems: findings.list() },
  ];
  return {
    ...{ plan, recovery, logs, settleSeconds },
    checks: all,
    entries: stage.load.entries,
    resent: stage.load.resent,
    trimmed: watcher.trimmed,
    looks: watcher.looks,
    seconds: (performance.now() - started) / 1000,
  };
}

async function stopLoad({ load, findings }: Stage): Promise<void> {
  if (!(await load.stop(settleMs))) findings.note("Redis did not take the last entries", load.lastRefusal);
}

function tellFault(count: number): (fault: PlannedFault, atOnce: number) => void {
  return ({ number, kind, holdMs, member, shard }, atOnce) => {
    const where = `member ${member}, shard ${shard}, ${holdMs} ms`;
    console.log(`  [${String(number).padStart(3)}/${count}] ${kind} (${where}; ${atOnce} at once)`);
  };
}

function noteProblems(findings: Findings, checks: readonly EndCheck[]): void {
  for (const { name, problems } of checks) {
    if (problems.length > 0) findings.note(`after healing, not: ${name}`, problems.slice(0, 3).join("; "));
  }
}

/** All at once, as a rollout's end does it. */
async function endMembers(stage: Stage, auditor: Auditor): Promise<EndCheck[]> {
  const before = await waitForEnd({ stage, auditor, timeoutMs: settleMs });
  const exits = await Promise.all(
    stage.slots.map(async (slot) => ({ name: slot.name, exit: await slot.stop() })),
  );
  const bad = exits.flatMap(({ name, exit }) =>
    exit === undefined || exit.code === 0 ? [] : [`${name}: ${exit.signal ?? `exit ${exit.code}`}`],
  );
  const after = await waitForEnd({ stage, auditor, timeoutMs: 2_000 });
  return [
    { name: "members drain with exit 0", problems: bad },
    {
      name: "all of it holds before and after the members have left",
      problems: [...before.checks, ...after.checks].flatMap(({ name, problems }) =>
        problems.slice(0, 2).map((problem) => `${name}: ${problem}`),
      ),
    },
  ];
}

function recoveryChecks({ killed, stopped }: Recovery): EndCheck[] {
  const late = (times: readonly number[], limit: number): string[] =>
    times.filter((time) => time > limit).map((time) => `${time} ms`);
  return [
    {
      name: `a killed member's shards go on within ${recoveryLimits.killed} ms`,
      problems: late(killed, recoveryLimits.killed),
    },
    {
      name: `a stopped member's shards go on within ${recoveryLimits.stopped} ms`,
      problems: late(stopped, recoveryLimits.stopped),
    },
  ];
}
