import type { SluiceError } from "../errors/sluice-error.ts";

/** Why a change or an entry was not applied; each is counted, none is an error. */
export type SkipReason = "stale" | "table-excluded" | "tombstone" | "heartbeat" | "logical-message";

export interface AppliedBatch {
  readonly stream: string;
  readonly entries: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Highest `source.ts_ms` in the batch, the commit time at the primary; undefined when there is none. */
  readonly committedAtMs: number | undefined;
  readonly tables: readonly AppliedTable[];
  readonly skipped: ReadonlyMap<SkipReason, number>;
}

/** What one batch did to one table; counts are changes, before folding. */
export interface AppliedTable {
  /** schema.table */
  readonly table: string;
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  readonly reads: number;
  readonly truncates: number;
  readonly folded: number;
}

/** Something that an operator should know and can do something about. Told by code: one of a code at a time. */
export interface Warning {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

export type ShardState = "free" | "running" | "retrying" | "stopped";

/**
 * What the pipeline tells those who watch it. Implementations are cheap and never throw: they are called from the
 * shard loops, once per read or batch, never per entry.
 */
export interface ProgressListener {
  entriesRead(stream: string, entries: number, bytes: number): void;
  batchApplied(batch: AppliedBatch): void;
  entriesSettled(stream: string, entries: number): void;
  rewound(stream: string, reason: string): void;
  shardState(stream: string, state: ShardState, error: SluiceError | undefined): void;
  retried(
    stage: "receive" | "decode" | "apply" | "acknowledge" | "own" | "maintain",
    error: SluiceError,
  ): void;
  /** Applied entries were removed from the stream. */
  entriesTrimmed(stream: string, entries: number): void;
  /** Consumers of members that do not read the shard any more were removed. */
  consumersRemoved(stream: string, names: readonly string[]): void;
  /** A shard of an earlier generation: marked as needed no more, or its stream removed after that. */
  shardRetired(stream: string, step: "marked" | "removed"): void;
  tombstonesPruned(rows: number): void;
  warningBegan(warning: Warning): void;
  warningEnded(warning: Warning): void;
}
