import {
  noOperations,
  operations,
  type OperationCounts,
  type TableChanges,
} from "../change/count-changes.ts";
import type { MetricName } from "./metric-definitions.ts";
import type { AppliedBatch } from "./progress.ts";

/** Where sums and values go. */
export interface Instruments {
  add(name: MetricName, labels: Record<string, string>, amount: number): void;
  set(name: MetricName, labels: Record<string, string>, value: number): void;
}

interface ShardTally {
  entriesRead: number;
  bytesRead: number;
  entriesSettled: number;
  /** Bytes that were read and are not settled; this and the next stay as they are when the sums are passed on. */
  queued: number;
  appliedAtMs: number | undefined;
}

interface TableTally {
  readonly received: OperationCounts;
  readonly applied: OperationCounts;
}

const singular = {
  inserts: "insert",
  updates: "update",
  deletes: "delete",
  reads: "read",
  truncates: "truncate",
} as const;

/**
 * What is told with every read and batch, as plain numbers until somebody scrapes: prom-client makes a text of the labels each time that it is
 * told of something, which for small batches would cost most of what decoding them costs.
 */
export class Tally {
  private readonly shards = new Map<string, ShardTally>();
  private readonly tables = new Map<string, TableTally>();
  private batches = 0;
  private waitedSeconds = 0;

  read(stream: string, entries: number, bytes: number): void {
    const shard = this.shard(stream);
    shard.entriesRead += entries;
    shard.bytesRead += bytes;
    shard.queued += bytes;
  }

  settled(stream: string, entries: number, bytes: number): void {
    const shard = this.shard(stream);
    shard.entriesSettled += entries;
    shard.queued -= bytes;
  }

  /** What the shard had read is gone. */
  drop(stream: string): void {
    this.shard(stream).queued = 0;
  }

  /** `table` is the label. */
  received(table: string, changes: TableChanges): void {
    addTo(this.table(table).received, changes);
  }

  applied(table: string, changes: TableChanges): void {
    addTo(this.table(table).applied, changes);
  }

  batch({ stream, seconds }: AppliedBatch, nowMs: number): void {
    this.batches++;
    this.waitedSeconds += seconds.waited;
    this.shard(stream).appliedAtMs = nowMs;
  }

  /** Tells the instruments of all since the last time. */
  pass(to: Instruments): void {
    let queued = 0;
    for (const [stream, shard] of this.shards) {
      to.add("sluice_entries_read_total", { stream }, shard.entriesRead);
      to.add("sluice_read_bytes_total", { stream }, shard.bytesRead);
      to.add("sluice_entries_acknowledged_total", { stream }, shard.entriesSettled);
      if (shard.appliedAtMs !== undefined)
        to.set("sluice_last_applied_timestamp_seconds", { stream }, shard.appliedAtMs / 1000);
      queued += shard.queued;
      shard.entriesRead = shard.bytesRead = shard.entriesSettled = 0;
    }
    to.set("sluice_queue_bytes", {}, queued);
    for (const [table, { received, applied }] of this.tables) {
      passCounts(to, "sluice_events_received_total", table, received);
      passCounts(to, "sluice_events_applied_total", table, applied);
    }
    to.add("sluice_batches_total", { outcome: "applied" }, this.batches);
    to.add("sluice_backpressure_seconds_total", {}, this.waitedSeconds);
    this.batches = this.waitedSeconds = 0;
  }

  private shard(stream: string): ShardTally {
    let shard = this.shards.get(stream);
    if (shard === undefined) {
      shard = { entriesRead: 0, bytesRead: 0, entriesSettled: 0, queued: 0, appliedAtMs: undefined };
      this.shards.set(stream, shard);
    }
    return shard;
  }

  private table(name: string): TableTally {
    let table = this.tables.get(name);
    if (table === undefined)
      this.tables.set(name, (table = { received: noOperations(), applied: noOperations() }));
    return table;
  }
}

function addTo(counts: OperationCounts, changes: TableChanges): void {
  for (const operation of operations) counts[operation] += changes[operation];
}

/** Operations that never happened have no series. */
function passCounts(to: Instruments, name: MetricName, table: string, counts: OperationCounts): void {
  for (const operation of operations) {
    if (counts[operation] > 0) to.add(name, { table, op: singular[operation] }, counts[operation]);
    counts[operation] = 0;
  }
}
