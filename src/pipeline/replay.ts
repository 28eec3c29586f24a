import type pg from "pg";
import type { Config } from "../config/config.ts";
import type { SluiceError } from "../errors/sluice-error.ts";
import { openPool } from "../sink/connect.ts";
import type { ReplayState } from "../sink/replay-store.ts";
import { addTables, type Replayed, type ReplayedTable } from "../sink/replay-tally.ts";
import type { RangeGap } from "../source/range-reader.ts";
import { prepareRanges } from "./replay-ranges.ts";
import { replayStream } from "./replay-stream.ts";

/** A range of one stream; both ends inclusive. */
export interface ReplayRange {
  readonly stream: string;
  /** `0-0`: all that is left. */
  readonly from: string;
  /** Undefined, or later than the stream's last entry at the start: that entry. */
  readonly to: string | undefined;
}

export interface ReplayOptions {
  readonly config: Config;
  /** Which ranges, of the streams that there are. Throws CONFIG_INVALID. */
  readonly select: (streams: readonly string[]) => readonly ReplayRange[];
  /** Patterns as in SLUICE_TABLES, beside those; empty: every table that the pipeline carries. */
  readonly tables: readonly string[];
  readonly dryRun: boolean;
  /** What happens when part of a range was removed: at its beginning, and while it is replayed. */
  readonly gaps: { readonly atStart: "refuse" | "accept"; readonly later: "refuse" | "accept" };
  /** Who is written down as having started it. */
  readonly startedBy: string;
  /** Aborted to end after the chunk at hand. */
  readonly stopping: AbortSignal;
  readonly watcher: ReplayWatcher;
}

/** Is told how a replay goes. Implementations are cheap and never throw. */
export interface ReplayWatcher {
  started(range: ReplayedRange): void;
  /** After each chunk. `fraction` goes from 0 to 1 by the time in the ids. */
  advanced(place: {
    readonly stream: string;
    readonly id: string;
    readonly entries: number;
    readonly fraction: number;
  }): void;
  gap(stream: string, gap: RangeGap): void;
  retried(error: SluiceError): void;
  ended(result: StreamReplay): void;
}

export interface ReplayedRange {
  readonly stream: string;
  readonly from: string;
  readonly to: string;
}

/** What the replay of one stream came to. */
export interface StreamReplay extends ReplayedRange, Replayed {
  readonly state: ReplayState;
  /** Row of `sluice.replay`; null for a dry run. */
  readonly id: string | null;
  /** The last entry that is done; null: none. */
  readonly lastId: string | null;
  /** Parts that were removed and passed over because that was accepted. */
  readonly gaps: readonly RangeGap[];
  readonly seconds: number;
  readonly error: SluiceError | null;
}

export interface ReplayResult {
  readonly state: ReplayState;
  readonly dryRun: boolean;
  readonly streams: readonly StreamReplay[];
  /** Of all streams together. */
  readonly tables: readonly ReplayedTable[];
}

/**
 * Applies again what streams still hold, beside the live pipeline: guarded by position (I4), without the consumer group, and without a
 * look at `sluice.shard`, so no live checkpoint moves. Each stream's range is fixed at the start; a range whose beginning was
 * removed is refused before anything is written. Throws what is wrong before that; later failures are in the result.
 */
export async function replay(options: ReplayOptions): Promise<ReplayResult> {
  const { dryRun, stopping } = options;
  const pool = replayPool(options.config);
  try {
    const ranges = await prepareRanges(options, pool);
    const streams: StreamReplay[] = [];
    for (const range of ranges) {
      if (stopping.aborted) break;
      const result = await replayStream({ ...options, pool }, range);
      streams.push(result);
      if (result.state !== "done") break;
    }
    const state = streams.at(-1)?.state ?? "done";
    const interrupted = stopping.aborted && streams.length < ranges.length;
    return {
      state: state === "done" && interrupted ? "interrupted" : state,
      dryRun,
      streams,
      tables: addTables(streams.map(({ tables }) => tables)),
    };
  } finally {
    await pool.end();
  }
}

/** One connection for the transaction, one for the catalog and the bookkeeping. */
function replayPool(config: Config): pg.Pool {
  const limit = Math.floor(config.leaseMs * 0.8);
  return openPool({
    url: config.databaseUrl,
    applicationName: `sluice:replay:${config.member}`,
    max: 2,
    statementTimeoutMs: limit,
    idleInTransactionTimeoutMs: limit,
    answerTimeoutMs: limit + 1_000,
    applying: true,
  });
}
