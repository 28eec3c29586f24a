import type pg from "pg";
import type { Catalog } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import { compareEntryIds, firstEntryId } from "../change/entry-id.ts";
import { Decoder } from "../decode/decode-chunk.ts";
import { LogOrder } from "../decode/log-order.ts";
import { Positions } from "../decode/positions.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { ProgressListener } from "../observe/progress.ts";
import { BackOff } from "../runtime/back-off.ts";
import { sleep } from "../runtime/sleep.ts";
import { Applier } from "../sink/applier.ts";
import { classify } from "../sink/classify.ts";
import { baseOf, type DecisionStore } from "../sink/decision-store.ts";
import type { Committer } from "../sink/committer.ts";
import type { Checkpoint, Lease, ShardStore } from "../sink/shard-store.ts";
import type { StreamRecordStore } from "../sink/stream-record-store.ts";
import type { BufferPool } from "../source/buffer-pool.ts";
import type { ReadShare } from "../source/read-size.ts";
import type { ReadTurns } from "../source/read-turns.ts";
import { ShardReader } from "../source/shard-reader.ts";
import { startingPoint } from "../source/starting-point.ts";
import { runShardLoop } from "./shard-loop.ts";

interface ReadingOptions {
  readonly config: Config;
  readonly buffers: BufferPool;
  readonly turns: ReadTurns;
  /** What part of a batch each shard may read at a time. */
  readonly share: () => ReadShare;
}

export interface ShardSessionOptions extends ReadingOptions {
  readonly pool: pg.Pool;
  readonly committer: Committer;
  readonly catalog: Catalog;
  readonly shards: ShardStore;
  readonly decisions: DecisionStore;
  readonly records: StreamRecordStore;
  readonly progress: ProgressListener;
  /** The reader that is at work, or none. */
  readonly reading: (stream: string, reader: ShardReader | undefined) => void;
  readonly includes: (schema: string, table: string) => boolean;
}

/** What ends a series of failures: a batch that was applied, or a wait that found nothing to fail on. */
type Success = "batch" | "wait";

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
  const succeed = (by: Success): void => {
    backOff.reset();
    if (!failing) return;
    failing = false;
    progress.shardState(lease.stream, "running", undefined);
    // A batch has said so in its own transaction.
    if (by === "wait") shards.setState(lease, "running", undefined).catch(() => undefined);
  };
  while (!stopping.aborted) {
    try {
      await runSession(options, lease, stopping, succeed);
    } catch (failure) {
      if (stopping.aborted) return;
      failing = true;
      const { error } = classify(failure);
      if (error.code === "LEASE_LOST") throw error;
      if (await goesOnRewound(options, lease, error)) continue;
      const state =
        error.policy === "retry" && !(error.code === "UNIQUE_VIOLATED" && backOff.count >= uniqueTries)
          ? "retrying"
          : "stopped";
      progress.shardState(lease.stream, state, error);
      const waits = waitsMs[error.code];
      if (state === "retrying" && waits === undefined) progress.retried(stageOf(error), error);
      await shards.setState(lease, state, error).catch(() => undefined);
      const pauseMs = state === "retrying" ? backOff.next() : config.stoppedRetryMs;
      await sleep(waits ?? pauseMs, stopping);
    }
  }
}

const generationPollMs = 250;
/** Waiting for another shard is no failure to back off from. */
const waitsMs: Partial<Record<ErrorCode, number>> = {
  GENERATION_WAITS: generationPollMs,
  KEY_CHANGE_WAITS: 50,
};

/** The value's former owner may be in another shard, on its way; after some twenty seconds it is rather the data that is wrong. */
const uniqueTries = 10;

/** A restored primary is gone on with once somebody has confirmed it: from the entry that told of it on, positions count anew. */
async function goesOnRewound(
  { decisions }: ShardSessionOptions,
  lease: Lease,
  error: SluiceError,
): Promise<boolean> {
  const { entryId } = error.place;
  if (error.code !== "PRIMARY_REWOUND" || entryId === undefined) return false;
  return await decisions.switchBase(lease, entryId).catch(() => false);
}

async function runSession(
  options: ShardSessionOptions,
  lease: Lease,
  stopping: AbortSignal,
  succeeded: (by: Success) => void,
): Promise<void> {
  const { pool, catalog, shards, progress } = options;
  const { stream } = lease;
  const reader = await openReader(options, stream, stopping);
  const close = (): void => reader.close();
  stopping.addEventListener("abort", close, { once: true });
  // It may have been asked to stop while the reader connected.
  if (stopping.aborted) close();
  try {
    let saved = await shards.checkpoint(lease);
    if (saved.id === undefined && lease.generation > 1) {
      await waitForTurn(options, lease, reader, stopping);
      // It knows now how far the generations before it came.
      saved = await shards.checkpoint(lease);
    }
    const checkpoint = await begin(options, lease, saved, reader);
    const bases = await options.decisions.bases(stream);
    const decoder = new Decoder({
      stream,
      nullKey: options.config.nullKey,
      includes: options.includes,
      base: baseOf(bases),
      positions: new Positions(saved),
      order: new LogOrder(saved),
    });
    const applier = new Applier({
      ...{ pool, catalog, lease, checkpoint, committer: options.committer },
      position: saved.position,
      progress: observed(progress, () => succeeded("batch")),
    });
    options.reading(stream, reader);
    const idle = (): void => succeeded("wait");
    await runShardLoop({ stream, reader, decoder, applier, progress, idle, stopping });
  } finally {
    options.reading(stream, undefined);
    stopping.removeEventListener("abort", close);
    reader.close();
  }
}

function openReader(
  { config, buffers, turns, share }: ReadingOptions,
  stream: string,
  signal: AbortSignal,
): Promise<ShardReader> {
  const { redisUrl: url, group, member, readBlockMs: blockMs } = config;
  const { batchEntries: maxEntries, batchBytes: targetBytes } = config;
  const limits = { maxEntries, targetBytes, share, blockMs };
  return ShardReader.open({ url, stream, group, member, buffers, turns, ...limits }, signal);
}

/** Sets the group to the checkpoint, which is elsewhere if the stream was rolled back below it. */
async function begin(
  { shards, records, progress }: ShardSessionOptions,
  lease: Lease,
  saved: Checkpoint,
  reader: ShardReader,
): Promise<Checkpoint> {
  const { stream } = lease;
  const seen = await records.seen(stream);
  const extent = await reader.extent({ checkpoint: saved.id, seen: seen?.lastId });
  const start = startingPoint({ checkpoint: saved, extent, seen });
  // Another member may have applied and trimmed what is missing, if this one was frozen in between: then this throws LEASE_LOST.
  if (start.kind === "gap") await shards.checkpoint(lease);
  const id = (start.kind === "gap" ? saved : start.checkpoint).id ?? firstEntryId;
  const deletedLater = extent?.maxDeletedId !== undefined && compareEntryIds(extent.maxDeletedId, id) > 0;
  const deleted = deletedLater ? await reader.deletedPending(id) : [];
  if (deleted.length > 0)
    progress.rewound(stream, `deleted from the stream while pending: ${deleted.join(", ")}`, 0);
  if (start.kind === "gap") {
    await reader.removeOthers();
    const place = { stream, ...(saved.id === undefined ? {} : { entryId: saved.id }) };
    throw new SluiceError("STREAM_GAP", start.message, { place });
  }
  const { checkpoint } = start;
  if (start.kind === "anew") {
    await shards.reset(lease, saved, checkpoint);
    await records.beginAnew(stream, start.reason);
  } else if (checkpoint.entries !== saved.entries) await shards.reset(lease, saved, checkpoint);
  const reclaimed = await reader.rewind(checkpoint);
  progress.rewound(stream, start.kind === "anew" ? start.reason : "begin", reclaimed);
  return checkpoint;
}

/**
 * A shard of a later generation begins when its first entry is there and the earlier streams are applied to their ends: since
 * Debezium writes one entry after the other, nothing is added to those any more.
 */
async function waitForTurn(
  { config, shards, decisions, buffers, turns, share }: ShardSessionOptions,
  lease: Lease,
  reader: ShardReader,
  stopping: AbortSignal,
): Promise<void> {
  while (((await reader.extent())?.length ?? 0n) === 0n && !stopping.aborted)
    await sleep(generationPollMs, stopping);
  for (const { stream, checkpoint } of await shards.earlierGenerations(lease)) {
    const earlier = await openReader({ config, buffers, turns, share }, stream, stopping);
    if (!(await earlier.hasAfter(checkpoint ?? firstEntryId).finally(() => earlier.close()))) continue;
    throw new SluiceError("GENERATION_WAITS", `${stream} is not applied to its end`, {
      place: { stream: lease.stream },
    });
  }
  await decisions.inheritPlace(lease);
}

function observed(progress: ProgressListener, applied: () => void): ProgressListener {
  return Object.assign(Object.create(progress) as ProgressListener, {
    batchApplied: (batch: Parameters<ProgressListener["batchApplied"]>[0]) => {
      applied();
      progress.batchApplied(batch);
    },
  });
}

function stageOf(error: SluiceError): "receive" | "apply" {
  return error.code.startsWith("REDIS") ? "receive" : "apply";
}

/**
 * Leaves the group as the checkpoint says, with nothing pending and no consumer of this member, for whoever takes the shard
 * next. Only its housekeeping: without it the next owner does the same, so it is given up when the signal is aborted.
 */
export async function giveBack(
  options: ReadingOptions,
  shards: ShardStore,
  lease: Lease,
  signal: AbortSignal,
): Promise<void> {
  const reader = await openReader(options, lease.stream, signal);
  const close = (): void => reader.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    await reader.leave(await shards.checkpoint(lease));
  } finally {
    signal.removeEventListener("abort", close);
    reader.close();
  }
}
