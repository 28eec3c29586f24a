import type { Config } from "../config/config.ts";
import { createStatusSource, type ShardStatus, type StatusReport } from "../pipeline/status.ts";
import { alignedTable, type ConsoleIo } from "./console-io.ts";
import { exitCode } from "./exit-code.ts";
import { readableBytes, readableSeconds } from "./readable.ts";

/** Reads both stores; no member need run. */
export async function status(config: Config, io: ConsoleIo, json: boolean): Promise<number> {
  const source = createStatusSource(config);
  try {
    const report = await source.read();
    io.out(json ? `${JSON.stringify(report)}\n` : statusText(report));
    return exitCode.done;
  } finally {
    await source.close();
  }
}

/** The report for people. */
export function statusText(report: StatusReport): string {
  const members = report.members.map((member) => [
    member.name,
    member.host,
    member.version,
    member.lastSeen,
    String(member.shards.length),
    member.state === "running" && member.shards.length === 0 ? "standing by" : member.state,
  ]);
  return [
    `pipeline ${report.pipeline}\n`,
    alignedTable(["MEMBER", "HOST", "VERSION", "LAST SEEN", "SHARDS", "STATE"], members),
    alignedTable(
      [...head, "LAG", "PENDING", "FRESHNESS", "ENTRIES", "BYTES", "WINDOW", "ERROR"],
      report.shards.map(row),
    ),
    ...(report.warnings.length === 0
      ? []
      : [report.warnings.map((each) => `warning ${each.code}: ${each.message} — ${each.remedy}\n`).join("")]),
  ].join("\n");
}

/** GEN: the generation of streams; WINDOW: the age of the oldest entry left, as far back as a replay can begin. */
const head = ["STREAM", "GEN", "STATE", "OWNER", "CHECKPOINT"];

function row(shard: ShardStatus): readonly string[] {
  return [
    shard.stream,
    shard.generation === 0 ? "-" : String(shard.generation),
    shard.state,
    shard.owner ?? "-",
    shard.checkpoint ?? "-",
    known(shard.lagEntries),
    known(shard.pendingEntries),
    shard.freshnessSeconds === null ? "?" : `${shard.freshnessSeconds.toFixed(1)}s`,
    known(shard.entries),
    shard.bytes === null ? "?" : readableBytes(shard.bytes),
    window(shard),
    shard.lastError === null ? "-" : `${shard.lastError.code}: ${shard.lastError.message}`,
  ];
}

function window({ entries, oldestId, replayWindowSeconds }: ShardStatus): string {
  if (entries === null || replayWindowSeconds === null) return "?";
  return oldestId === null ? "-" : readableSeconds(replayWindowSeconds);
}

function known(value: number | null): string {
  return value === null ? "?" : String(value);
}
