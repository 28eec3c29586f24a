import type pg from "pg";
import type { Catalog } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import { Decoder } from "../decode/decode-chunk.ts";
import type { SluiceError } from "../errors/sluice-error.ts";
import type { ProgressListener } from "../observe/progress.ts";
import { BackOff } from "../runtime/back-off.ts";
import { sleep } from "../runtime/sleep.ts";
import { Applier } from "../sink/applier.ts";
import { classify } from "../sink/classify.ts";
import type { Lease, ShardStore } from "../sink/shard-store.ts";
import { ShardReader } from "../source/shard-reader.ts";
import { startingPoint } from "../source/starting-point.ts";
import { runShardLoop } from "./shard-loop.ts";

export interface ShardSessionOptions {
  readonly config: Config;
  readonly pool: pg.Pool;
  readonly catalog: Catalog;
  readonly shards: ShardStore;
  readonly progress: ProgressListener;
  readonly includes: (schema: string, table: string) => boolean;
}

/**
 * Keeps one owned shard going until it is lost or given up. Whatever fails ends the session; the next one begins again at the
 * checkpoint, so no failure needs a mending of its own. A shard that a change stops looks again from time to time.
 */
export async function ownShard(
  options: ShardSessionOptions,
  lease: Lease,
  stopping: AbortSignal,
): Promise<void> {
  const { config, progress, shards } = options;
  const backOff = new BackOff({ firstMs: 50, maxMs: config.retryMaxMs });
  let failing = true;
  const succeed = (): void => {
    backOff.reset();
    if (!failing) return;
    failing = false;
    progress.shardState(lease.stream, "running", undefined);
    shards.setState(lease, "running", undefined).catch(() => undefined);
  };
  while (!stopping.aborted) {
    try {
      await runSession(options, lease, stopping, succeed);
    } catch (failure) {
      if (stopping.aborted) return;
      failing = true;
      const { error } = classify(failure);
      if (error.code === "LEASE_LOST") throw error;
      const state = error.policy === "retry" ? "retrying" : "stopped";
      progress.shardState(lease.stream, state, error);
      if (state === "retrying") progress.retried(stageOf(error), error);
      await shards.setState(lease, state, error).catch(() => undefined);
      await sleep(state === "retrying" ? backOff.next() : config.stoppedRetryMs, stopping);
    }
  }
}

async function runSession(
  options: ShardSessionOptions,
  lease: Lease,
  stopping: AbortSignal,
  succeeded: () => void,
): Promise<void> {
  const { config, pool, catalog, shards, progress } = options;
  const { stream } = lease;
  const {
    redisUrl: url,
    group,
    member,
    batchEntries: maxEntries,
    batchBytes: targetBytes,
    readBlockMs: blockMs,
  } = config;
  const reader = await ShardReader.open({ url, stream, group, member, maxEntries, targetBytes, blockMs });
  const close = (): void => reader.close();
  try {
    const saved = await shards.checkpoint(lease);
    const { checkpoint, warning } = startingPoint(stream, saved, await reader.extent());
    if (checkpoint !== saved) await shards.reset(lease, saved, checkpoint);
    await reader.rewind(checkpoint);
    progress.rewound(stream, warning ?? "begin");
    const applier = new Applier({
      pool,
      catalog,
      shards,
      lease,
      checkpoint,
      progress: observed(progress, succeeded),
    });
    const decoder = new Decoder({
      stream,
      nullKey: config.nullKey,
      includes: options.includes,
      base: () => 0n,
    });
    stopping.addEventListener("abort", close, { once: true });
    await runShardLoop({ stream, reader: quietly(reader, succeeded), decoder, applier, progress, stopping });
  } finally {
    stopping.removeEventListener("abort", close);
    reader.close();
  }
}

/** So does a wait that found nothing: there was nothing left to fail on. */
function quietly(reader: ShardReader, idle: () => void): Pick<ShardReader, "read" | "settle"> {
  return {
    read: async (options) => {
      const entries = await reader.read(options);
      if (options.wait && entries.length === 0) idle();
      return entries;
    },
    settle: (ids) => reader.settle(ids),
  };
}

/** A batch that was applied ends a series of failures. */
function observed(progress: ProgressListener, applied: () => void): ProgressListener {
  return Object.assign(Object.create(progress) as ProgressListener, {
    batchApplied: (batch: Parameters<ProgressListener["batchApplied"]>[0]) => {
      applied();
      progress.batchApplied(batch);
    },
  });
}

function stageOf(error: SluiceError): "receive" | "apply" {
  return error.code.startsWith("REDIS") || error.code === "READ_HOLE" ? "receive" : "apply";
}

/**
 * Leaves the group as the checkpoint says, with nothing pending and no consumer of this member, for whoever takes the shard
 * next. Only its housekeeping: without it the next owner does the same.
 */
export async function giveBack(config: Config, shards: ShardStore, lease: Lease): Promise<void> {
  const {
    redisUrl: url,
    group,
    member,
    batchEntries: maxEntries,
    batchBytes: targetBytes,
    readBlockMs: blockMs,
  } = config;
  const reader = await ShardReader.open({
    url,
    stream: lease.stream,
    group,
    member,
    maxEntries,
    targetBytes,
    blockMs,
  });
  try {
    await reader.rewind(await shards.checkpoint(lease));
  } finally {
    reader.close();
  }
}
