/** Every metric's name, labels and meaning; `docs/reference/metrics.md` is generated from this table. */
export interface MetricDefinition {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const counts = [1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
const bytes = [1_024, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];

export const metricDefinitions = {
  sluice_entries_read_total: {
    type: "counter",
    help: "Entries read from the stream, those read again after a rewind included.",
    labels: ["stream"],
  },
  sluice_read_bytes_total: { type: "counter", help: "Bytes of the entries read.", labels: ["stream"] },
  sluice_events_received_total: {
    type: "counter",
    help: "Changes decoded from entries, those read again after a rewind included.",
    labels: ["table", "op"],
  },
  sluice_events_applied_total: {
    type: "counter",
    help: "Changes of committed batches, counted before folding; those that the guard found too old are among them, and among the skipped ones as stale.",
    labels: ["table", "op"],
  },
  sluice_events_folded_total: {
    type: "counter",
    help: "Changes that a later change of the same key in the same batch made needless.",
    labels: ["table"],
  },
  sluice_events_skipped_total: {
    type: "counter",
    help: "Changes and entries that were passed over for a named reason.",
    labels: ["reason"],
  },
  sluice_entries_acknowledged_total: {
    type: "counter",
    help: "Entries settled: the group was told of them, after the commit that made them durable.",
    labels: ["stream"],
  },
  sluice_entries_reclaimed_total: {
    type: "counter",
    help: "Entries that a consumer of the group held, dead or foreign, when the shard was taken; they are read again.",
    labels: ["stream"],
  },
  sluice_rewinds_total: {
    type: "counter",
    help: "Times the consumer group was set back to the checkpoint.",
    labels: ["stream"],
  },
  sluice_batches_total: {
    type: "counter",
    help: "Batches by outcome: applied, or failed and tried again.",
    labels: ["outcome"],
  },
  sluice_batch_events: { type: "histogram", help: "Changes in a batch.", labels: [], buckets: counts },
  sluice_batch_bytes: { type: "histogram", help: "Bytes of a batch's entries.", labels: [], buckets: bytes },
  sluice_apply_duration_seconds: {
    type: "histogram",
    help: "Time that a batch took, by phase: prepare (folding, statements), write (the transaction, from sending it to its answer; shards that share one each count it).",
    labels: ["phase"],
    buckets: seconds,
  },
  sluice_backpressure_seconds_total: {
    type: "counter",
    help: "Time that batches waited because every connection to the read database was at work.",
    labels: [],
  },
  sluice_queue_bytes: {
    type: "gauge",
    help: "Bytes of entries that were read and are not settled yet.",
    labels: [],
  },
  sluice_queue_limit_bytes: {
    type: "gauge",
    help: "What the queue is kept near at most: a batch for each shard, and one more for each connection.",
    labels: [],
  },
  sluice_end_to_end_seconds: {
    type: "histogram",
    help: "From the commit at the primary (of a batch's newest change) to ours; needs clocks that agree.",
    labels: ["stream"],
    buckets: seconds,
  },
  sluice_last_applied_timestamp_seconds: {
    type: "gauge",
    help: "When the last batch was applied, in seconds since 1970.",
    labels: ["stream"],
  },
  sluice_errors_total: {
    type: "counter",
    help: "Errors that were met, by the stage that met them, or `shard` where a shard stopped.",
    labels: ["stage", "error_code", "policy"],
  },
  sluice_retries_total: {
    type: "counter",
    help: "Tries again after a transient failure.",
    labels: ["stage"],
  },
  sluice_state: {
    type: "gauge",
    help: "1 for the state that this member last saw the shard in, 0 for the others.",
    labels: ["stream", "state"],
  },
  sluice_stream_lag_entries: {
    type: "gauge",
    help: "Entries behind: not yet settled. Absent when Redis cannot tell.",
    labels: ["stream"],
  },
  sluice_stream_pending_entries: {
    type: "gauge",
    help: "Entries that a reader of the group left pending; sluice itself leaves none. Absent when Redis cannot be asked.",
    labels: ["stream"],
  },
  sluice_staleness_seconds: {
    type: "gauge",
    help: "Freshness: age of the oldest unapplied entry, 0 when there is none. Absent when it cannot be told.",
    labels: ["stream"],
  },
  sluice_stream_length: {
    type: "gauge",
    help: "Entries that the stream holds, applied ones included. Absent when Redis cannot be asked.",
    labels: ["stream"],
  },
  sluice_stream_bytes: {
    type: "gauge",
    help: "Memory of the stream at Redis, as Redis estimates it. Absent when it does not tell.",
    labels: ["stream"],
  },
  sluice_stream_oldest_entry_age_seconds: {
    type: "gauge",
    help: "The replay window: age of the oldest entry left. Absent when Redis cannot be asked.",
    labels: ["stream"],
  },
  sluice_entries_trimmed_total: {
    type: "counter",
    help: "Applied entries removed from the stream by this member.",
    labels: ["stream"],
  },
  sluice_consumers_removed_total: {
    type: "counter",
    help: "Consumers of members that are gone, removed from the group.",
    labels: ["stream"],
  },
  sluice_warning: {
    type: "gauge",
    help: "1 while the warning holds, as `sluice status` shows it with its remedy; absent otherwise.",
    labels: ["code"],
  },
  sluice_lease_held: { type: "gauge", help: "1 when this member owns the shard.", labels: ["stream"] },
  sluice_dependency_up: {
    type: "gauge",
    help: "1 when the store (redis, database) was reachable at last try.",
    labels: ["dependency"],
  },
  sluice_build_info: { type: "gauge", help: "Always 1; what is running.", labels: ["version", "node"] },
} as const satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof metricDefinitions;
