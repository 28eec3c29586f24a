import type { Config } from "../config/config.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { openPool } from "../sink/connect.ts";
import { DecisionStore, type PutBack } from "../sink/decision-store.ts";
import { openRedis } from "../source/connect.ts";
import { readStreamExtent } from "../source/stream-extent.ts";
import { countEntries, entryIdBefore } from "../source/count-entries.ts";
import { startingPoint } from "../source/starting-point.ts";
import type { ConsoleIo } from "./console-io.ts";
import { exitCode } from "./exit-code.ts";
import { userName } from "./user-name.ts";

/** What an operator confirms; recorded in `sluice.decision` with who did it. */
export type Acceptance =
  | { readonly kind: "gap"; readonly stream: string }
  | { readonly kind: "rewound-primary" };

/** Records the decision, after which the stopped shards go on by themselves. */
export async function accept(
  config: Config,
  io: ConsoleIo,
  acceptance: Acceptance,
  dryRun: boolean,
): Promise<number> {
  const pool = openPool({ url: config.databaseUrl, applicationName: "sluice accept", max: 1 });
  try {
    return acceptance.kind === "gap"
      ? await acceptGap(config, io, pool, acceptance.stream, dryRun)
      : await acceptRewound(config, io, pool, dryRun);
  } finally {
    await pool.end();
  }
}

type Pool = ReturnType<typeof openPool>;

async function acceptRewound(config: Config, io: ConsoleIo, pool: Pool, dryRun: boolean): Promise<number> {
  const decisions = new DecisionStore(pool, config.pipeline);
  const since = await decisions.rewoundSince();
  if (since === undefined) {
    io.err("no shard is stopped by PRIMARY_REWOUND; nothing to accept\n");
    return exitCode.problems;
  }
  const again = await shardsToPutBack(config, decisions, since);
  const streams = again.map(({ stream }) => stream).join(", ");
  const also = streams === "" ? "" : `; ${streams} would not have noticed and apply again what came since`;
  if (dryRun) {
    io.out(`would let positions count anew from the restored primary's first entry, ${since}, on${also}\n`);
    return exitCode.done;
  }
  const base = await decisions.acceptRewoundPrimary(since, again, userName());
  io.out(
    `accepted: from entry ${since} on, positions count from ${base}; the shards go on by themselves${also}\n`,
  );
  return exitCode.done;
}

/**
 * Shards that have applied changes of the restored primary without base: their own last change was at a place that its log had
 * already passed, so they could not tell. Beside the others' positions those would look old, to a TRUNCATE for one.
 */
async function shardsToPutBack(
  config: Config,
  decisions: DecisionStore,
  since: string,
): Promise<readonly PutBack[]> {
  const past = await decisions.appliedSince(since);
  if (past.length === 0) return [];
  const redis = await openRedis({ url: config.redisUrl, name: "sluice-accept" });
  try {
    const shards: PutBack[] = [];
    for (const { stream, checkpoint } of past) {
      const entries = (await decisions.checkpoint(stream))?.entries ?? 0n;
      const passed = await countEntries(redis, { stream, from: since, to: checkpoint });
      const to = { id: entryIdBefore(since), entries: entries - passed };
      if (passed > 0n) shards.push({ stream, from: checkpoint, to });
    }
    return shards;
  } finally {
    redis.disconnect();
  }
}

async function acceptGap(
  config: Config,
  io: ConsoleIo,
  pool: Pool,
  stream: string,
  dryRun: boolean,
): Promise<number> {
  const decisions = new DecisionStore(pool, config.pipeline);
  const saved = await decisions.checkpoint(stream);
  if (saved?.id === undefined) throw noGap(stream, "it has no checkpoint");
  const redis = await openRedis({ url: config.redisUrl, name: "sluice-accept" });
  const extent = await readStreamExtent(redis, stream).finally(() => redis.disconnect());
  const gap = gapOf(stream, { id: saved.id, entries: saved.entries }, extent);
  if (gap === undefined) throw noGap(stream, "nothing is missing after its checkpoint");
  const removed = extent === undefined ? 0n : extent.added - extent.length;
  const lost = removed - saved.entries;
  const what = `${lost} entries of ${stream} after ${saved.id}`;
  if (dryRun) {
    io.out(`would accept the loss of ${what}\n`);
    return exitCode.done;
  }
  await decisions.acceptGap({ stream, checkpoint: saved.id, entries: removed, lost, decidedBy: userName() });
  io.out(`accepted the loss of ${what}; the shard goes on by itself\n`);
  io.out("The tables may lack these changes until they are copied anew by a snapshot.\n");
  return exitCode.done;
}

/** The error that the shard stops with, if it does. */
function gapOf(...place: Parameters<typeof startingPoint>): SluiceError | undefined {
  try {
    startingPoint(...place);
    return undefined;
  } catch (error) {
    if (error instanceof SluiceError && error.code === "STREAM_GAP") return error;
    throw error;
  }
}

function noGap(stream: string, why: string): SluiceError {
  return new SluiceError("CONFIG_INVALID", `${stream} has no gap to accept: ${why}`, {
    place: { stream },
    remedy: "See `sluice status` for the shards that STREAM_GAP stopped.",
  });
}
