import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import type { Program } from "../demo/local/process.ts";
import { withClient } from "./database.ts";
import { startMember } from "./member.ts";
import { redisCpuSeconds } from "./redis-cpu.ts";
import type { Stage } from "./stage.ts";
import { cpuSeconds, familyCpuSeconds, postmasterId, residentMib } from "./usage.ts";

/** How often the checkpoints are looked at, in milliseconds: the error of a measured time, at either end. */
const pollMs = 20;
const memoryEveryMs = 100;
const giveUpAfterMs = 600_000;

export interface SluiceRunOptions {
  readonly stage: Stage;
  /** A read database that `migrate` has prepared. */
  readonly databaseUrl: string;
  /** Stream → the entry whose checkpoint ends the measurement. */
  readonly lastIds: ReadonlyMap<string, string>;
  /** Arguments of Node itself. */
  readonly nodeArguments: readonly string[];
}

export interface SluiceRun {
  readonly seconds: number;
  /** CPU seconds within that time. */
  readonly cpu: { readonly sluice: number; readonly postgres: number; readonly redis: number };
  readonly peakMib: number;
  /** Resident memory of sluice: milliseconds since the clock started, MiB. */
  readonly memory: readonly (readonly [ms: number, mib: number])[];
}

/**
 * Runs the built program on filled streams until all is applied.
 *
 * The clock starts when the member holds its first shard, before it has opened a reader, and stops when every shard's
 * checkpoint in the read database is the stream's last entry. Starting Node is not measured: a member starts once.
 */
export async function measureSluice(options: SluiceRunOptions): Promise<SluiceRun> {
  const { stage, databaseUrl, lastIds, nodeArguments } = options;
  const program = await startMember({ stage, databaseUrl, streams: [...lastIds.keys()], nodeArguments });
  try {
    return await withClient(databaseUrl, async (client) => {
      await pollUntil(program, client, (shards) => shards.some((shard) => shard.owner !== null));
      const startedAt = performance.now();
      const before = await cpuOf(stage, program.pid);
      const memory: (readonly [number, number])[] = [];
      await pollUntil(program, client, (shards) => {
        const ms = Math.round(performance.now() - startedAt);
        if (ms >= (memory.at(-1)?.[0] ?? -memoryEveryMs) + memoryEveryMs)
          memory.push([ms, Math.round(residentMib(program.pid).now)]);
        return isApplied(shards, lastIds);
      });
      const seconds = (performance.now() - startedAt) / 1000;
      const after = await cpuOf(stage, program.pid);
      const cpu = {
        sluice: after.sluice - before.sluice,
        postgres: after.postgres - before.postgres,
        redis: after.redis - before.redis,
      };
      return { seconds, cpu, memory, peakMib: Math.round(residentMib(program.pid).peak) };
    });
  } finally {
    await program.stop({ graceMs: 30_000 });
  }
}

interface ShardRow {
  readonly stream: string;
  readonly checkpoint: string | null;
  readonly owner: string | null;
  readonly state: string;
  readonly last_error: { readonly message?: string } | null;
}

function isApplied(shards: readonly ShardRow[], lastIds: ReadonlyMap<string, string>): boolean {
  const applied = shards.filter((shard) => shard.checkpoint === lastIds.get(shard.stream));
  return applied.length === lastIds.size;
}

async function pollUntil(
  program: Program,
  client: pg.Client,
  isDone: (shards: readonly ShardRow[]) => boolean,
): Promise<void> {
  const deadline = performance.now() + giveUpAfterMs;
  for (;;) {
    const { rows } = await client.query<ShardRow>({
      name: "poll",
      text: "SELECT stream, checkpoint, owner, state, last_error FROM sluice.shard",
    });
    if (isDone(rows)) return;
    const stopped = rows.find((row) => row.state === "stopped");
    if (stopped !== undefined)
      throw new Error(`${stopped.stream} stopped: ${stopped.last_error?.message ?? "?"}`);
    if (!program.running) throw new Error(`sluice has ended:\n${program.log().slice(-2_000)}`);
    if (performance.now() > deadline) throw new Error(`sluice was not done after ${giveUpAfterMs / 1000} s`);
    await sleep(pollMs);
  }
}

async function cpuOf(stage: Stage, pid: number): Promise<SluiceRun["cpu"]> {
  return {
    sluice: cpuSeconds(pid),
    postgres: familyCpuSeconds(postmasterId(stage.target.folder)),
    redis: await redisCpuSeconds(stage.redisUrl),
  };
}
