import type { Config } from "../config/config.ts";
import { compareEntryIds } from "../change/entry-id.ts";
import { restoredSince } from "../pipeline/restored-since.ts";
import type { openPool } from "../sink/connect.ts";
import { DecisionStore, type AppliedShard, type PutBack } from "../sink/decision-store.ts";
import type { StreamRedis } from "../source/ask.ts";
import { openRedis } from "../source/connect.ts";
import { countEntries, entryIdBefore, lastEntryBefore } from "../source/count-entries.ts";
import type { ConsoleIo } from "./console-io.ts";
import { exitCode } from "./exit-code.ts";
import { userName } from "./user-name.ts";

type Pool = ReturnType<typeof openPool>;

/** From the restored primary's first entry on, positions count anew. */
export async function acceptRewound(
  config: Config,
  io: ConsoleIo,
  pool: Pool,
  dryRun: boolean,
): Promise<number> {
  const decisions = new DecisionStore(pool, config.pipeline);
  const stop = await decisions.firstRewoundStop();
  if (stop === undefined) {
    io.err("no shard is stopped by PRIMARY_REWOUND; nothing to accept\n");
    return exitCode.problems;
  }
  const redis = await openRedis({ url: config.redisUrl, name: "sluice-accept" });
  try {
    const since = await restoredSince({ redis, decisions, nullKey: config.nullKey, stop });
    const shards = new UnnoticingShards(redis, since);
    // What takes long is done before the shards have to stand still.
    let again = await shards.putBack(await decisions.appliedSince(since));
    if (dryRun) {
      io.out(
        `would let positions count anew from the restored primary's first entry, ${since}, on${alsoOf(again)}\n`,
      );
    } else {
      const putBack = async (applied: readonly AppliedShard[]): Promise<readonly PutBack[]> =>
        (again = await shards.putBack(applied));
      const base = await decisions.acceptRewoundPrimary({ since, decidedBy: userName(), putBack });
      io.out(
        `accepted: from entry ${since} on, positions count from ${base}; the shards go on by themselves${alsoOf(again)}\n`,
      );
    }
    for (const { stream, isFirst } of again) if (isFirst) io.err(trimmedNote(stream));
    return exitCode.done;
  } finally {
    redis.disconnect();
  }
}

function alsoOf(again: readonly PutBack[]): string {
  const streams = again.map(({ stream }) => stream).join(", ");
  return streams === "" ? "" : `; ${streams} would not have noticed and apply again what came since`;
}

function trimmedNote(stream: string): string {
  return `note: entries of ${stream} before these were removed; if the restored primary wrote some of them, their tables need a new snapshot\n`;
}

interface UnnoticingShard extends PutBack {
  /** Nothing from before is left in the stream, although there was something. */
  readonly isFirst: boolean;
}

/**
 * Shards that have applied changes of the restored primary without base: their own last change was at a place that its log had
 * already passed, so they could not tell. Beside the others' positions those would look old, to a TRUNCATE for one.
 */
class UnnoticingShards {
  private readonly redis: StreamRedis;
  private readonly since: string;
  private readonly counted = new Map<string, { readonly to: string; readonly passed: bigint }>();

  constructor(redis: StreamRedis, since: string) {
    this.redis = redis;
    this.since = since;
  }

  /** They go back to the last entry before `since`, or to where it was: a place between two entries would look like another stream's. */
  async putBack(applied: readonly AppliedShard[]): Promise<readonly UnnoticingShard[]> {
    const { redis, since } = this;
    const shards: UnnoticingShard[] = [];
    for (const { stream, checkpoint, entries } of applied) {
      const passed = await this.passed(stream, checkpoint);
      if (passed === 0n) continue;
      const before = await lastEntryBefore(redis, stream, since);
      const to = { id: before ?? entryIdBefore(since), entries: entries - passed };
      shards.push({ stream, to, isFirst: before === undefined && to.entries > 0n });
    }
    return shards;
  }

  /** Entries from `since` to the checkpoint; those that were counted before are not read again. */
  private async passed(stream: string, to: string): Promise<bigint> {
    const { redis, since } = this;
    const known = this.counted.get(stream);
    const more = known !== undefined && compareEntryIds(known.to, to) <= 0;
    const from = more ? `(${known.to}` : since;
    const passed = (more ? known.passed : 0n) + (await countEntries(redis, { stream, from, to }));
    this.counted.set(stream, { to, passed });
    return passed;
  }
}
