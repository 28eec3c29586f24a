import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { operations } from "../change/count-changes.ts";
import type { PipelineHealth } from "../pipeline/pipeline.ts";
import type { ShardStatus, StatusReport } from "../pipeline/status.ts";
import { metricDefinitions, type MetricDefinition, type MetricName } from "./metric-definitions.ts";
import type { AppliedBatch, ProgressListener, ShardState, SkipReason } from "./progress.ts";
import { Tally, type Instruments } from "./tally.ts";

export interface MetricsOptions {
  readonly version: string;
  readonly member: string;
  /** Their series begin at 0. */
  readonly streams: readonly string[];
  /** What read-ahead is kept near at most, in bytes. */
  readonly queueLimitBytes: number;
  /** Asked at each scrape; it caches by itself. A rejection leaves lag, pending and freshness out. */
  readonly status: () => Promise<StatusReport>;
  readonly health: () => PipelineHealth;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export interface Metrics {
  readonly listener: ProgressListener;
  /** Prometheus's text format. */
  text(): Promise<string>;
}

const shardStates: readonly ShardState[] = ["free", "running", "retrying", "stopped"];
const skipReasons: readonly SkipReason[] = ["stale", "table-excluded", "tombstone", "logical-message"];

/** Tables beyond this share the label `other`, so that a database of many tables does not swamp Prometheus. */
const mostTables = 200;

/** Counts what the pipeline tells, and asks for what only the stores know when someone scrapes. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const instruments = new PromInstruments(registry);
  const tally = new Tally();
  initialise(instruments, options);
  return {
    listener: listenerFor(instruments, tally, options.now ?? Date.now),
    text: async () => {
      setHealth(instruments, options.health());
      await setSnapshot(instruments, options);
      // Behind what may take its time: all series are of one moment.
      tally.pass(instruments);
      return await registry.metrics();
    },
  };
}

/** One prom-client object per definition, reached by name. */
class PromInstruments implements Instruments {
  private readonly counters = new Map<string, Counter>();
  private readonly gauges = new Map<string, Gauge>();
  private readonly histograms = new Map<string, Histogram>();

  constructor(registry: Registry) {
    for (const [name, definition] of Object.entries<MetricDefinition>(metricDefinitions)) {
      const { help, labels } = definition;
      const base = { name, help, labelNames: [...labels], registers: [registry] };
      if (definition.type === "counter") this.counters.set(name, new Counter(base));
      else if (definition.type === "gauge") this.gauges.set(name, new Gauge(base));
      else this.histograms.set(name, new Histogram({ ...base, buckets: [...(definition.buckets ?? [])] }));
    }
  }

  add(name: MetricName, labels: Record<string, string>, amount: number): void {
    this.counters.get(name)?.inc(labels, amount);
  }

  set(name: MetricName, labels: Record<string, string>, value: number): void {
    this.gauges.get(name)?.set(labels, value);
  }

  /** Takes all of a gauge's series away. */
  clear(name: MetricName): void {
    this.gauges.get(name)?.reset();
  }

  observe(name: MetricName, labels: Record<string, string>, value: number): void {
    this.histograms.get(name)?.observe(labels, value);
  }
}

function initialise(to: PromInstruments, options: MetricsOptions): void {
  to.set("sluice_build_info", { version: options.version, node: process.version }, 1);
  for (const stream of options.streams) {
    for (const name of perStreamCounters) to.add(name, { stream }, 0);
    setState(to, stream, "free");
  }
  for (const reason of skipReasons) to.add("sluice_events_skipped_total", { reason }, 0);
  to.set("sluice_queue_bytes", {}, 0);
  to.set("sluice_queue_limit_bytes", {}, options.queueLimitBytes);
  to.add("sluice_backpressure_seconds_total", {}, 0);
  for (const outcome of ["applied", "failed"]) to.add("sluice_batches_total", { outcome }, 0);
}

const perStreamCounters = [
  "sluice_entries_read_total",
  "sluice_read_bytes_total",
  "sluice_entries_acknowledged_total",
  "sluice_entries_reclaimed_total",
  "sluice_rewinds_total",
  "sluice_entries_trimmed_total",
  "sluice_consumers_removed_total",
] as const;

function listenerFor(to: PromInstruments, tally: Tally, now: () => number): ProgressListener {
  const tableLabel = cappedLabels(mostTables);
  return {
    entriesRead: (stream, entries, bytes) => tally.read(stream, entries, bytes),
    changesDecoded: (tables) => {
      for (const each of tables) tally.received(tableLabel(each.table), each);
    },
    batchApplied: (batch) => {
      const nowMs = now();
      tally.batch(batch, nowMs);
      observeBatch(to, batch, nowMs);
      recordTables(to, tally, batch, tableLabel);
    },
    entriesSettled: (stream, entries, bytes) => tally.settled(stream, entries, bytes),
    rewound: (stream, _, reclaimed) => {
      to.add("sluice_rewinds_total", { stream }, 1);
      to.add("sluice_entries_reclaimed_total", { stream }, reclaimed);
      tally.drop(stream);
    },
    shardState: (stream, state, error) => {
      setState(to, stream, state);
      // What a session had read is gone with it.
      if (state !== "running") tally.drop(stream);
      if (state !== "stopped" || error === undefined) return;
      to.add("sluice_errors_total", { stage: "shard", error_code: error.code, policy: error.policy }, 1);
    },
    retried: (stage, error) => {
      to.add("sluice_retries_total", { stage }, 1);
      to.add("sluice_errors_total", { stage, error_code: error.code, policy: error.policy }, 1);
      if (stage === "apply") to.add("sluice_batches_total", { outcome: "failed" }, 1);
    },
    // sluice_lease_held has it.
    standingBy: () => undefined,
    entriesTrimmed: (stream, entries) => to.add("sluice_entries_trimmed_total", { stream }, entries),
    consumersRemoved: (stream, names) => to.add("sluice_consumers_removed_total", { stream }, names.length),
    shardRetired: () => undefined,
    tombstonesPruned: () => undefined,
    // The status report that a scrape asks for has them all.
    warningBegan: () => undefined,
    warningEnded: () => undefined,
  };
}

function observeBatch(to: PromInstruments, batch: AppliedBatch, nowMs: number): void {
  const { stream, committedAtMs } = batch;
  to.observe("sluice_batch_bytes", {}, batch.bytes);
  for (const phase of ["prepare", "write"] as const)
    to.observe("sluice_apply_duration_seconds", { phase }, batch.seconds[phase]);
  if (committedAtMs !== undefined)
    to.observe("sluice_end_to_end_seconds", { stream }, Math.max(0, nowMs - committedAtMs) / 1000);
}

function recordTables(
  to: PromInstruments,
  tally: Tally,
  batch: AppliedBatch,
  tableLabel: (table: string) => string,
): void {
  let events = 0;
  for (const applied of batch.tables) {
    const table = tableLabel(applied.table);
    tally.applied(table, applied);
    for (const operation of operations) events += applied[operation];
    if (applied.folded > 0) to.add("sluice_events_folded_total", { table }, applied.folded);
  }
  for (const [reason, count] of batch.skipped) to.add("sluice_events_skipped_total", { reason }, count);
  to.observe("sluice_batch_events", {}, events);
}

function setState(to: PromInstruments, stream: string, state: ShardState): void {
  for (const each of shardStates) to.set("sluice_state", { stream, state: each }, each === state ? 1 : 0);
}

function setHealth(to: PromInstruments, health: PipelineHealth): void {
  to.set("sluice_dependency_up", { dependency: "redis" }, health.redisReachable ? 1 : 0);
  to.set("sluice_dependency_up", { dependency: "database" }, health.databaseReachable ? 1 : 0);
}

const snapshotGauges = [
  "sluice_stream_lag_entries",
  "sluice_stream_pending_entries",
  "sluice_staleness_seconds",
  "sluice_stream_length",
  "sluice_stream_bytes",
  "sluice_stream_oldest_entry_age_seconds",
  "sluice_warning",
  "sluice_lease_held",
] as const;

async function setSnapshot(to: PromInstruments, options: MetricsOptions): Promise<void> {
  const report = await options.status().catch(() => undefined);
  // What is not known now must not show yesterday's value.
  for (const name of snapshotGauges) to.clear(name);
  for (const shard of report?.shards ?? []) {
    const { stream } = shard;
    for (const [name, value] of shardGauges(shard)) if (value !== null) to.set(name, { stream }, value);
    to.set("sluice_lease_held", { stream }, shard.owner === options.member ? 1 : 0);
  }
  for (const { code } of report?.warnings ?? []) to.set("sluice_warning", { code }, 1);
}

/** Null: not known. */
function shardGauges(shard: ShardStatus): readonly (readonly [MetricName, number | null])[] {
  return [
    ["sluice_stream_lag_entries", shard.lagEntries],
    ["sluice_stream_pending_entries", shard.pendingEntries],
    ["sluice_staleness_seconds", shard.freshnessSeconds],
    ["sluice_stream_length", shard.entries],
    ["sluice_stream_bytes", shard.bytes],
    ["sluice_stream_oldest_entry_age_seconds", shard.replayWindowSeconds],
  ];
}

/** Passes the first `most` different labels, and `other` for those after them. */
function cappedLabels(most: number): (label: string) => string {
  const known = new Set<string>();
  return (label) => {
    if (known.has(label)) return label;
    if (known.size >= most) return "other";
    known.add(label);
    return label;
  };
}
