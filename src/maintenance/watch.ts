import { compareEntryIds } from "../change/entry-id.ts";
import type { Warning } from "../observe/progress.ts";
import type { StreamFinding } from "../sink/stream-record-store.ts";
import type { RedisFacts } from "../source/stream-info.ts";
import { memoryThreshold } from "./memory.ts";
import { newestGeneration } from "./retire.ts";

/** How long another Redis server is told, in seconds. */
const toldSeconds = 3_600;

export interface WatchedShard {
  readonly stream: string;
  readonly generation: number;
  readonly retired: boolean;
  readonly checkpoint: string | undefined;
  /** Undefined: the stream is empty. */
  readonly firstId: string | undefined;
  /** Undefined: the stream does not exist. */
  readonly lastId: string | undefined;
}

/** Settings of Redis under which entries can vanish before they are applied (I6). */
export function redisWarnings(facts: RedisFacts): readonly Warning[] {
  const warnings: Warning[] = [];
  if (facts.role !== "master" && facts.role !== "") {
    warnings.push({
      code: "REDIS_IS_REPLICA",
      message: `Redis is a ${facts.role}, which cannot be written`,
      remedy: "Point SLUICE_REDIS_URL at the master.",
    });
  }
  if (facts.maxmemoryPolicy !== "" && facts.maxmemoryPolicy !== "noeviction") {
    warnings.push({
      code: "REDIS_EVICTS",
      message: `Redis's maxmemory-policy is ${facts.maxmemoryPolicy}: when memory is full it may drop whole streams`,
      remedy: "Set maxmemory-policy to noeviction.",
    });
  }
  if (facts.persistence === "off" || facts.persistence === "snapshots") {
    const what = facts.persistence === "off" ? "keeps nothing on disk" : "keeps snapshots only";
    warnings.push({
      code: "REDIS_NOT_PERSISTENT",
      message: `Redis ${what}: a crash loses entries that Debezium will not send again`,
      remedy: "Set appendonly to yes.",
    });
  }
  return warnings;
}

/** `windowSeconds`: the shortest replay window of the shards; undefined: they are empty. */
export function memoryWarnings(
  memoryHigh: string,
  facts: RedisFacts,
  windowSeconds: number | undefined,
): readonly Warning[] {
  const threshold = memoryThreshold(memoryHigh, facts);
  if (threshold === undefined || facts.usedMemory <= threshold) return [];
  const left = windowSeconds === undefined ? "no entry" : `entries of ${Math.round(windowSeconds)} s`;
  return [
    {
      code: "REDIS_MEMORY_HIGH",
      message:
        `Redis uses ${mebibytes(facts.usedMemory)}, above the ${mebibytes(threshold)} of SLUICE_MEMORY_HIGH: ` +
        `applied entries go before SLUICE_RETAIN_… says so; ${left} left for replays`,
      remedy:
        "Give Redis more memory or keep less (SLUICE_RETAIN_AGE, SLUICE_RETAIN_BYTES). Entries that are not applied stay: if these fill it, see what keeps the shards.",
    },
  ];
}

/** `secondsAgo`: when another replication id than the one before was first seen. */
export function failOverWarnings(secondsAgo: number | undefined): readonly Warning[] {
  if (secondsAgo === undefined || secondsAgo > toldSeconds) return [];
  return [
    {
      code: "REDIS_FAILED_OVER",
      message: `Redis was restarted, or a replica took over, ${Math.round(secondsAgo / 60)} min ago: entries that it had acknowledged may be lost, and Debezium will not send them again`,
      remedy:
        "Compare the tables with the primary; where they differ, take a new snapshot through Debezium's signal: see docs/guides/gaps.md.",
    },
  ];
}

/** What was found of streams within the last hour, by whichever member. */
export function findingWarnings(findings: readonly StreamFinding[]): readonly Warning[] {
  const recent = (secondsAgo: number | null): boolean => secondsAgo !== null && secondsAgo <= toldSeconds;
  return findings.flatMap(({ stream, deleted, deletedSecondsAgo, beganAnew, beganAnewSecondsAgo }) => {
    const warnings: Warning[] = [];
    if (recent(deletedSecondsAgo)) {
      warnings.push({
        code: "ENTRIES_DELETED",
        stream,
        message: `${deleted} entries were deleted from ${stream} before they were applied`,
        remedy:
          "Find out who deletes entries (XDEL), and take a new snapshot of the tables, which may lack changes: see docs/guides/gaps.md.",
      });
    }
    if (beganAnew !== null && recent(beganAnewSecondsAgo)) {
      warnings.push({
        code: "STREAM_BEGUN_ANEW",
        stream,
        message: `${stream}: ${beganAnew}`,
        remedy:
          "Find out what happened to Redis or the stream. Nothing is known to be lost, but what was added shortly before may be: compare the tables with the primary, see docs/guides/gaps.md.",
      });
    }
    return warnings;
  });
}

export function shardWarnings(
  shards: readonly WatchedShard[],
  configured: readonly string[],
): readonly Warning[] {
  return [...forgotten(shards, configured), ...earlierWritten(shards)];
}

function forgotten(shards: readonly WatchedShard[], configured: readonly string[]): readonly Warning[] {
  const newest = newestGeneration(shards);
  const names = shards
    .filter((shard) => shard.generation === newest && !shard.retired && !configured.includes(shard.stream))
    .map(({ stream }) => stream);
  if (names.length === 0) return [];
  return [
    {
      code: "STREAM_FORGOTTEN",
      message: `the pipeline has shards that SLUICE_STREAMS does not name: ${names.join(", ")}`,
      remedy:
        "Name all streams of the shard router in SLUICE_STREAMS, alike in every member and command. Another number of shards needs other stream names.",
    },
  ];
}

/** Entries of two routings must not be written beside each other: nothing orders them. */
function earlierWritten(shards: readonly WatchedShard[]): readonly Warning[] {
  const newest = newestGeneration(shards);
  const begun = shards
    .flatMap(({ generation, firstId }) => (generation === newest && firstId !== undefined ? [firstId] : []))
    .sort(compareEntryIds)[0];
  const names = shards
    .filter(({ generation, retired, checkpoint, firstId, lastId }) => {
      if (generation === newest || lastId === undefined || firstId === undefined) return false;
      if (retired) return lastId !== checkpoint;
      return begun !== undefined && compareEntryIds(lastId, begun) > 0;
    })
    .map(({ stream }) => stream);
  if (names.length === 0) return [];
  return [
    {
      code: "OLD_GENERATION_WRITTEN",
      message: `streams of an earlier generation are still written to: ${names.join(", ")}`,
      remedy:
        "Stop the Debezium Server that still writes with the earlier shard router options. What it wrote to a stream that was retired is not applied: take a new snapshot (docs/guides/gaps.md).",
    },
  ];
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 30 ? 1 : 0)} MiB`;
}
