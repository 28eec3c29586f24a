import type { TableChanges } from "../change/count-changes.ts";
import type { SluiceError } from "../errors/sluice-error.ts";

/** Why a change or an entry was not applied; each is counted, none is an error. */
export type SkipReason = "stale" | "table-excluded" | "tombstone" | "logical-message";

export interface AppliedBatch {
  readonly stream: string;
  readonly entries: number;
  readonly bytes: number;
  readonly seconds: BatchSeconds;
  /** Highest `source.ts_ms` in the batch, the commit time at the primary; undefined when there is none. */
  readonly committedAtMs: number | undefined;
  readonly tables: readonly AppliedTable[];
  readonly skipped: ReadonlyMap<SkipReason, number>;
}

/** Where a batch's time went. */
export interface BatchSeconds {
  /** Until its turn came and it had a connection: others were at work. */
  readonly waited: number;
  /** Folding, and making the statements. */
  readonly prepare: number;
  /** Of the transaction, which it may have shared with other shards, from sending it to the answer. */
  readonly write: number;
}

/** What one batch did to one table; counted before folding. */
export interface AppliedTable extends TableChanges {
  readonly folded: number;
}

/** Something that an operator should know and can do something about. One of a code at a time, or of a code and stream. */
export interface Warning {
  readonly code: string;
  /** Where it is about one. */
  readonly stream?: string;
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
  changesDecoded(tables: readonly TableChanges[]): void;
  batchApplied(batch: AppliedBatch): void;
  entriesSettled(stream: string, entries: number, bytes: number): void;
  /** `reclaimed`: entries that consumers of the group held, and that are read again. */
  rewound(stream: string, reason: string, reclaimed: number): void;
  shardState(stream: string, state: ShardState, error: SluiceError | undefined): void;
  retried(stage: "receive" | "apply" | "own" | "maintain", error: SluiceError): void;
  /** There are more members than shards, and this one has none; false: it has some again. */
  standingBy(stands: boolean): void;
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
