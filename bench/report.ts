import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { redisSettings } from "../demo/local/redis-server.ts";
import type { CommitTimeCheck } from "./commit-time-check.ts";
import type { GrowthCell } from "./growth.ts";
import type { LatencyResult } from "./latency.ts";
import type { Machine } from "./machine.ts";
import { postgresSettings } from "./stage.ts";
import { median, type Percentiles } from "./statistics.ts";
import type { DebeziumResult, Drain } from "./through-debezium.ts";
import { textTable } from "./text-table.ts";
import type { ContenderResult, ThroughputResult } from "./throughput.ts";

/** Everything of one run of the bench, as it goes into the JSON file. */
export interface Results {
  readonly startedAt: string;
  readonly machine: Machine;
  readonly postgresSettings: typeof postgresSettings;
  readonly sockets: boolean;
  readonly throughput: ThroughputResult[];
  readonly latency: LatencyResult[];
  readonly growth: GrowthCell[];
  throughDebezium?: DebeziumResult;
  jdbcSink?: Drain;
}

/** Returns the path. */
export function writeJson(results: Results, path: string | undefined): string {
  const name = `${results.startedAt.slice(0, 19).replaceAll(":", "-")}.json`;
  const file = path ?? join(import.meta.dirname, "results", name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results)}\n`);
  return file;
}

export function reportText(results: Results): string {
  const parts = [machineText(results)];
  if (results.throughput.length > 0) parts.push(throughputText(results.throughput));
  if (results.latency.length > 0) parts.push(latencyText(results.latency));
  if (results.growth.length > 0) parts.push(growthText(results.growth));
  if (results.throughDebezium !== undefined) parts.push(debeziumText(results.throughDebezium));
  if (results.jdbcSink !== undefined)
    parts.push(`Debezium Server's JDBC sink, ${drainText(results.jdbcSink)}`);
  return parts.join("\n\n");
}

function machineText({ machine, sockets }: Results): string {
  const settings = Object.entries(postgresSettings).map(([name, value]) => `${name}=${value}`);
  return (
    `${machine.cores} cores (${machine.processor}), ${machine.memoryGib} GiB · Node ${machine.node} · ` +
    `PostgreSQL ${machine.postgres} · Redis ${machine.redis}\n` +
    `every PostgreSQL: defaults and ${settings.join(", ")} · Redis: appendonly, everysec, stream-node-max-bytes ${redisSettings["stream-node-max-bytes"]}\n` +
    `reached by ${sockets ? "Unix-domain sockets, by Debezium's programs by TCP" : "TCP"}`
  );
}

function throughputText(results: readonly ThroughputResult[]): string {
  const header = [
    "load",
    "applied by",
    "rows/s",
    "lowest",
    "highest",
    "sluice is",
    "CPU s: sluice",
    "PostgreSQL",
    "Redis",
    "peak MiB",
  ];
  const rows = results.flatMap((result) => {
    const sluice = median(ratesOf(result, result.contenders[0]));
    return result.contenders.map((contender, index) => {
      const rates = ratesOf(result, contender);
      const name =
        index === 0 ? `${result.load}, ${number(result.rows)} × ${number(result.meanValueBytes)} B` : "";
      return [
        name,
        contender.name,
        number(median(rates)),
        number(Math.min(...rates)),
        number(Math.max(...rates)),
        index === 0 ? "" : `× ${(sluice / median(rates)).toFixed(2)}`,
        ...usageCells(contender),
      ];
    });
  });
  return `${textTable(header, rows, 2)}\n${clocks}`;
}

const clocks =
  "clocks: sluice from its first lease to the last checkpoint, looked at every 20 ms; logical replication from ENABLE to its " +
  "last transaction, likewise; COPY from starting the clients to their end";

function ratesOf(result: ThroughputResult, contender: ContenderResult | undefined): number[] {
  return contender?.runs.map((run) => result.rows / run.seconds) ?? [];
}

function usageCells({ runs }: ContenderResult): string[] {
  const measured = runs.flatMap((run) => (run.cpu === undefined ? [] : [run.cpu]));
  if (measured.length === 0) return [];
  const peak = Math.max(...runs.map((run) => run.peakMib ?? 0));
  const cpu = (["sluice", "postgres", "redis"] as const).map((name) =>
    median(measured.map((each) => each[name])).toFixed(1),
  );
  return [...cpu, String(peak)];
}

export function number(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

function latencyText(rounds: readonly LatencyResult[]): string {
  const clockErrorMs = Math.max(...rounds.map((round) => round.clockErrorMs));
  const looks = rounds.map((round) => round.commitTimes);
  const sum = (of: (look: CommitTimeCheck) => number): number =>
    looks.reduce((total, look) => total + of(look), 0);
  return (
    `latency at ${number(rounds[0]?.entriesPerSecond ?? Number.NaN)} entries/s, open loop, ${rounds.length} × ` +
    `${rounds[0]?.measuredSeconds} s; sluice uses ${(median(rounds.map((round) => round.cpu)) * 100).toFixed(0)} % of a core\n` +
    `${textTable(latencyHeader, [
      ["stream to visible", ...percentileCells(rounds.map((round) => round.streamToVisible))],
      ["due to visible", ...percentileCells(rounds.map((round) => round.dueToVisible))],
    ])}\n` +
    `stream: when Redis appended the entry, by its id; due: when it was to be sent\n` +
    `error: clocks ± ${clockErrorMs.toFixed(2)} ms, ids up to 1 ms too early; commits visible later than stamped: ` +
    `${sum((look) => look.seenLate)} of ${sum((look) => look.commits)} looked at, at most ` +
    `${Math.max(...looks.map((look) => look.highestMs)).toFixed(2)} ms`
  );
}

const latencyHeader = ["ms: median (lowest–highest)", "p50", "p95", "p99", "p99.9", "highest"];

function percentileCells(rounds: readonly Percentiles[]): string[] {
  return (["p50", "p95", "p99", "p999", "highest"] as const).map((name) => {
    const found = rounds.map((round) => round[name]);
    const spread = `(${Math.min(...found).toFixed(1)}–${Math.max(...found).toFixed(1)})`;
    return `${median(found).toFixed(1)} ${spread}`;
  });
}

function percentilesText({ p50, p95, p99, p999, highest }: Percentiles): string {
  const named = { p50, p95, p99, "p99.9": p999, highest };
  return Object.entries(named)
    .map(([name, value]) => `${name} ${value.toFixed(1)}`)
    .join("  ");
}

function debeziumText({ transactionsPerSecond, commitToVisible, drain }: DebeziumResult): string {
  return (
    `through Debezium Server, commit to visible at ${number(transactionsPerSecond)} transactions/s, ms: ` +
    `${percentilesText(commitToVisible)}\n  ${drainText(drain)}`
  );
}

function drainText({ rows, insertsPerSecond, updatesPerSecond }: Drain): string {
  return (
    `${number(rows)} rows in transactions of 10: ${number(insertsPerSecond)} inserts/s, ` +
    `${number(updatesPerSecond)} updates/s`
  );
}

function growthText(cells: readonly GrowthCell[]): string {
  const header = [
    "what grows",
    "entries",
    "rows/s",
    "lowest",
    "highest",
    "MiB at the end",
    "peak",
    "CPU s: sluice",
    "PostgreSQL",
  ];
  const rows = cells.map(({ what, entries, runs }) => {
    const rates = runs.map((run) => entries / run.seconds);
    return [
      what,
      number(entries),
      number(median(rates)),
      number(Math.min(...rates)),
      number(Math.max(...rates)),
      number(median(runs.map((run) => run.memory.at(-1)?.[1] ?? Number.NaN))),
      number(Math.max(...runs.map((run) => run.peakMib))),
      median(runs.map((run) => run.cpu.sluice)).toFixed(1),
      median(runs.map((run) => run.cpu.postgres)).toFixed(1),
    ];
  });
  return textTable(header, rows);
}
