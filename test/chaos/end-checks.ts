import { setTimeout as pause } from "node:timers/promises";
import type { Auditor } from "./auditor.ts";
import type { Stage } from "./stage.ts";
import { readGroup, readShards, readStreams, type ShardFacts, type StreamState } from "./store-facts.ts";
import { compareTables } from "./tables-check.ts";

/** What must hold once nothing is broken any more and nothing is added. */
export interface EndCheck {
  readonly name: string;
  readonly problems: readonly string[];
}

export interface EndOptions {
  readonly stage: Stage;
  readonly auditor: Auditor;
  readonly timeoutMs: number;
}

/** Waits until all checks hold; what does not in time is told by the last look. */
export async function waitForEnd(
  options: EndOptions,
): Promise<{ readonly checks: readonly EndCheck[]; readonly seconds: number }> {
  const started = performance.now();
  for (;;) {
    const checks = await look(options).catch((error: unknown) => [
      { name: "both stores answer", problems: [String(error)] },
    ]);
    const waitedMs = performance.now() - started;
    if (checks.every(({ problems }) => problems.length === 0) || waitedMs > options.timeoutMs)
      return { checks, seconds: waitedMs / 1000 };
    await pause(100);
  }
}

async function look({ stage, auditor }: EndOptions): Promise<EndCheck[]> {
  const streams = await readStreams(stage.redis, stage.streams);
  const shards = await readShards(stage.database);
  const running = stage.slots.filter((slot) => slot.isRunning).map((slot) => slot.name);
  const placed = places(streams, shards);
  const checks = [
    { name: "every shard's checkpoint is its stream's last id", problems: placed },
    { name: "the groups say the same, with nothing pending", problems: await groupProblems(stage, shards) },
    { name: "every entry is counted once", problems: counts(streams, shards) },
    {
      name: "registered members are the running ones",
      problems: await memberProblems(stage, running),
    },
    { name: "shards are split fairly among them", problems: splitProblems(shards, running) },
    {
      name: "the other consumer group has seen every entry",
      problems: streams
        .filter(({ stream, added }) => stream === auditor.stream && added !== auditor.seen)
        .map(({ stream, added }) => `${stream}: ${auditor.seen} of ${added}`),
    },
  ];
  // Reading all rows is not worth it before.
  const tables =
    placed.length > 0 ? ["not looked at"] : await compareTables(stage.database, stage.load.primary);
  return [{ name: "the tables are equal to what was sent", problems: tables }, ...checks];
}

function places(streams: readonly StreamState[], shards: readonly ShardFacts[]): string[] {
  return streams.flatMap(({ stream, lastId }) => {
    const shard = shards.find((each) => each.stream === stream);
    if (shard?.checkpoint === lastId) return [];
    return [`${stream}: ${shard?.checkpoint} of ${lastId}, ${shard?.state}, owner ${shard?.owner}`];
  });
}

function counts(streams: readonly StreamState[], shards: readonly ShardFacts[]): string[] {
  return streams.flatMap(({ stream, added }) => {
    const shard = shards.find((each) => each.stream === stream);
    if (shard?.entries === added && shard.changes === added) return [];
    return [
      `${stream}: ${added} added, ${shard?.entries} at or before the checkpoint, ${shard?.changes} applied`,
    ];
  });
}

/** Registered at Redis is who owns the shard. */
async function groupProblems({ redis }: Stage, shards: readonly ShardFacts[]): Promise<string[]> {
  const problems: string[] = [];
  for (const { stream, checkpoint, owner } of shards) {
    const group = await readGroup(redis, stream);
    if (group === undefined) {
      problems.push(`${stream}: no group`);
      continue;
    }
    if (group.pending > 0) problems.push(`${stream}: ${group.pending} pending`);
    if (group.lastDeliveredId !== checkpoint)
      problems.push(`${stream}: the group is at ${group.lastDeliveredId}, the checkpoint at ${checkpoint}`);
    const wanted = owner === null ? [] : [owner];
    if (group.consumers.join() !== wanted.join())
      problems.push(`${stream}: registered are ${group.consumers.join(", ") || "none"}, owner is ${owner}`);
  }
  return problems;
}

async function memberProblems({ database }: Stage, running: readonly string[]): Promise<string[]> {
  const rows = await database.query<{ name: string }>("SELECT name FROM sluice.member ORDER BY name");
  const registered = rows.map(({ name }) => name).join(", ");
  const wanted = [...running].sort().join(", ");
  return registered === wanted
    ? []
    : [`registered are ${registered || "none"}, running are ${wanted || "none"}`];
}

function splitProblems(shards: readonly ShardFacts[], running: readonly string[]): string[] {
  const counts = running.map((name) => shards.filter(({ owner, leased }) => leased && owner === name).length);
  const owned = counts.reduce((sum, count) => sum + count, 0);
  const fair = running.length === 0 || Math.max(...counts) - Math.min(...counts) <= 1;
  const complete =
    running.length === 0 ? shards.every(({ owner }) => owner === null) : owned === shards.length;
  return fair && complete
    ? []
    : [running.map((name, index) => `${name} ${counts[index]}`).join(", ") || "owned by nobody"];
}
