import { setTimeout as pause } from "node:timers/promises";
import type { MemberSlot } from "./member-slot.ts";
import { leaseMs, memberCount, shardCount, type Stage } from "./stage.ts";
import { readShards } from "./store-facts.ts";

/** Milliseconds until all shards of a member were applied again by others. */
export interface Recovery {
  readonly killed: readonly number[];
  readonly stopped: readonly number[];
}

export const recoveryLimits = { killed: leaseMs + 1_000, stopped: 1_000 } as const;

const giveUpMs = 30_000;

/** One after the other, each with all members at work and a load that goes on. */
export async function measureRecovery(stage: Stage, times: number): Promise<Recovery> {
  const killed: number[] = [];
  const stopped: number[] = [];
  for (let index = 0; index < times; index++) {
    for (const [how, list] of [
      ["kill", killed],
      ["stop", stopped],
    ] as const) {
      await balanced(stage);
      const slot = stage.slots[(2 * index + (how === "kill" ? 0 : 1)) % memberCount];
      if (slot === undefined) continue;
      const milliseconds = await resumes(stage, slot, how);
      list.push(milliseconds);
      console.log(
        `  ${slot.name} ${how === "kill" ? "killed" : "stopped"}: its shards went on after ${milliseconds} ms`,
      );
      await slot.start();
    }
  }
  await balanced(stage);
  return { killed, stopped };
}

async function resumes(stage: Stage, slot: MemberSlot, how: "kill" | "stop"): Promise<number> {
  const owned = (await readShards(stage.database)).filter(({ owner }) => owner === slot.name);
  const started = performance.now();
  const ended = slot[how]();
  // A shard goes on when its checkpoint moves under a later epoch.
  const remaining = await until(async () => {
    const rows = await stage.database.query<{ stream: string; epoch: number }>(
      "SELECT stream, max(epoch)::float8 AS epoch FROM chaos.writer GROUP BY stream",
    );
    return owned.every(({ stream, epoch }) => rows.some((row) => row.stream === stream && row.epoch > epoch));
  });
  const milliseconds = Math.round(performance.now() - started);
  if (!remaining || owned.length === 0) stage.findings.note("a member's shards did not go on", slot.name);
  await ended;
  return milliseconds;
}

/** Every member has its share, and all goes on. */
async function balanced(stage: Stage): Promise<void> {
  const settled = await until(async () => {
    const shards = await readShards(stage.database);
    const counts = stage.slots
      .slice(0, memberCount)
      .map(({ name }) => shards.filter(({ owner, leased }) => leased && owner === name).length);
    const total = counts.reduce((sum, count) => sum + count, 0);
    return total === shardCount && Math.max(...counts) - Math.min(...counts) <= 1;
  });
  if (!settled) stage.findings.note("the shards were not split fairly in time", "while nothing was broken");
}

async function until(holds: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + giveUpMs;
  while (!(await holds())) {
    if (performance.now() > deadline) return false;
    await pause(10);
  }
  return true;
}
