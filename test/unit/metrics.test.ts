import { expect, test } from "vitest";
import { metricDefinitions, type MetricDefinition } from "../../src/observe/metric-definitions.ts";
import { createMetrics, type Metrics } from "../../src/observe/metrics.ts";
import type { StatusReport } from "../../src/pipeline/status.ts";

const definitions = Object.entries<MetricDefinition>(metricDefinitions);

test.each(definitions)("%s follows Prometheus's naming", (name, { type, labels }) => {
  expect(name).toMatch(/^sluice_[a-z_]+$/);
  expect(name.endsWith("_total")).toBe(type === "counter");
  expect(name).not.toMatch(/_(ms|millis|micros|mb|kb)(_|$)/);
  for (const label of labels) {
    expect([
      "stream",
      "table",
      "op",
      "reason",
      "outcome",
      "stage",
      "phase",
      "error_code",
      "policy",
      "state",
      "dependency",
      "code",
      "version",
      "node",
    ]).toContain(label);
  }
});

const shard = {
  stream: "cdc.0",
  state: "running",
  owner: "me",
  epoch: 1,
  checkpoint: "1-0",
  lagEntries: 5,
  pendingEntries: 2,
  freshnessSeconds: 0.5,
  lastError: null,
  generation: 1,
  entries: 7,
  oldestId: "1-0",
  replayWindowSeconds: 60,
  bytes: null,
} as const;

const ofPipeline = { pipeline: "p", collectedAt: "2026-01-01T00:00:00.000Z" };

function metricsOf(status: () => Promise<StatusReport>, now?: () => number): Metrics {
  const health = {
    registered: true,
    draining: false,
    tickAgeMs: 0,
    redisReachable: true,
    databaseReachable: false,
  };
  return createMetrics({
    version: "1",
    member: "me",
    streams: ["cdc.0"],
    queueLimitBytes: 1000,
    status,
    health: () => health,
    ...(now && { now }),
  });
}

test("what the pipeline tells and the stores know is served", async () => {
  const metrics = metricsOf(async () => ({ ...ofPipeline, members: [], shards: [shard], warnings: [] }));
  metrics.listener.entriesRead("cdc.0", 3, 300);
  metrics.listener.batchApplied({
    stream: "cdc.0",
    entries: 3,
    bytes: 300,
    seconds: { waited: 0.5, prepare: 0.002, write: 0.01 },
    committedAtMs: undefined,
    tables: [{ table: "public.a", inserts: 2, updates: 1, deletes: 0, reads: 0, truncates: 0, folded: 1 }],
    skipped: new Map([["stale", 4]]),
  });
  const text = await metrics.text();
  for (const line of [
    'sluice_entries_read_total{stream="cdc.0"} 3',
    'sluice_events_applied_total{table="public.a",op="insert"} 2',
    'sluice_events_folded_total{table="public.a"} 1',
    'sluice_events_skipped_total{reason="stale"} 4',
    'sluice_stream_lag_entries{stream="cdc.0"} 5',
    'sluice_lease_held{stream="cdc.0"} 1',
    'sluice_dependency_up{dependency="database"} 0',
    'sluice_apply_duration_seconds_sum{phase="write"} 0.01',
    "sluice_backpressure_seconds_total 0.5",
    "sluice_queue_limit_bytes 1000",
  ]) {
    expect(text).toContain(line);
  }
});

test("changes count as received when they are decoded, whether or not they are applied", async () => {
  const metrics = metricsOf(() => Promise.reject(new Error("down")));
  const decoded = { table: "public.a", inserts: 2, updates: 0, deletes: 1, reads: 0, truncates: 0 };
  metrics.listener.changesDecoded([decoded]);
  const text = await metrics.text();
  expect(text).toContain('sluice_events_received_total{table="public.a",op="insert"} 2');
  expect(text).toContain('sluice_events_received_total{table="public.a",op="delete"} 1');
  expect(text).not.toContain("sluice_events_applied_total{");
});

test("the queue holds what was read until it is settled, or its session ends", async () => {
  const metrics = metricsOf(() => Promise.reject(new Error("down")));
  const { listener } = metrics;
  listener.entriesRead("cdc.0", 2, 200);
  listener.entriesRead("cdc.1", 3, 300);
  listener.entriesSettled("cdc.0", 1, 100);
  expect(await metrics.text()).toContain("sluice_queue_bytes 400");
  listener.rewound("cdc.1", "begin", 7);
  const text = await metrics.text();
  expect(text).toContain("sluice_queue_bytes 100");
  expect(text).toContain('sluice_entries_reclaimed_total{stream="cdc.1"} 7');
});

test("what is told between two scrapes is added once to what was there", async () => {
  let nowMs = 5_000;
  const metrics = metricsOf(
    () => Promise.reject(new Error("down")),
    () => nowMs,
  );
  const { listener } = metrics;
  const counts = { table: "public.a", inserts: 0, updates: 0, deletes: 3, reads: 0, truncates: 0 };
  const batch = {
    ...{ stream: "cdc.0", entries: 3, bytes: 300, committedAtMs: undefined, skipped: new Map() },
    seconds: { waited: 0.5, prepare: 0.002, write: 0.01 },
    tables: [{ ...counts, folded: 0 }],
  };
  listener.entriesRead("cdc.0", 3, 300);
  listener.changesDecoded([counts]);
  listener.batchApplied(batch);
  listener.entriesSettled("cdc.0", 3, 300);
  const first = await metrics.text();
  expect(seriesOf(await metrics.text())).toEqual(seriesOf(first));
  listener.entriesRead("cdc.0", 2, 200);
  listener.changesDecoded([counts]);
  nowMs = 7_500;
  listener.batchApplied(batch);
  const text = await metrics.text();
  for (const line of [
    'sluice_entries_read_total{stream="cdc.0"} 5',
    'sluice_read_bytes_total{stream="cdc.0"} 500',
    'sluice_entries_acknowledged_total{stream="cdc.0"} 3',
    'sluice_batches_total{outcome="applied"} 2',
    'sluice_events_received_total{table="public.a",op="delete"} 6',
    'sluice_events_applied_total{table="public.a",op="delete"} 6',
    'sluice_last_applied_timestamp_seconds{stream="cdc.0"} 7.5',
    "sluice_backpressure_seconds_total 1",
    "sluice_queue_bytes 200",
  ])
    expect(text).toContain(`${line}\n`);
  listener.shardState("cdc.0", "retrying", undefined);
  expect(await metrics.text()).toContain("sluice_queue_bytes 0\n");
});

test("what is told while a scrape asks the stores is in it", async () => {
  const metrics: Metrics = metricsOf(async () => {
    metrics.listener.entriesRead("cdc.0", 3, 300);
    return { ...ofPipeline, members: [], shards: [], warnings: [] };
  });
  expect(await metrics.text()).toContain('sluice_entries_read_total{stream="cdc.0"} 3\n');
});

/** Without those of the process itself. */
function seriesOf(text: string): string[] {
  return text.split("\n").filter((line) => line.startsWith("sluice_"));
}

test("lag that is not known is absent, not zero", async () => {
  let known = true;
  const metrics = metricsOf(async () => {
    const shards = [{ ...shard, lagEntries: known ? 5 : null }];
    return { ...ofPipeline, members: [], shards, warnings: [] };
  });
  expect(await metrics.text()).toContain('sluice_stream_lag_entries{stream="cdc.0"} 5');
  known = false;
  expect(await metrics.text()).not.toContain("sluice_stream_lag_entries{");
});

test("a warning is 1 while it holds and absent when it does not", async () => {
  let warnings = [{ code: "REDIS_EVICTS", message: "it evicts", remedy: "Stop it." }];
  const metrics = metricsOf(async () => ({ ...ofPipeline, members: [], shards: [shard], warnings }));
  expect(await metrics.text()).toContain('sluice_warning{code="REDIS_EVICTS"} 1');
  warnings = [];
  expect(await metrics.text()).not.toContain("sluice_warning{");
});

test("what is left for replays and what maintenance removed is served", async () => {
  const metrics = metricsOf(async () => ({ ...ofPipeline, members: [], shards: [shard], warnings: [] }));
  metrics.listener.entriesTrimmed("cdc.0", 100);
  metrics.listener.consumersRemoved("cdc.0", ["gone"]);
  const text = await metrics.text();
  for (const line of [
    'sluice_stream_length{stream="cdc.0"} 7',
    'sluice_stream_oldest_entry_age_seconds{stream="cdc.0"} 60',
    'sluice_entries_trimmed_total{stream="cdc.0"} 100',
    'sluice_consumers_removed_total{stream="cdc.0"} 1',
  ]) {
    expect(text).toContain(line);
  }
  expect(text).not.toContain("sluice_stream_bytes{");
});

test("a scrape is answered although the stores are not", async () => {
  const metrics = metricsOf(() => Promise.reject(new Error("down")));
  expect(await metrics.text()).toContain("sluice_build_info{");
});
