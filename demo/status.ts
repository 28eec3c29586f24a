import type { Redis } from "ioredis";

/** The part of `GET /status` that the demo shows. */
interface ShardView {
  readonly stream: string;
  readonly state: string;
  readonly owner: string | null;
  readonly lagEntries: number | null;
  readonly pendingEntries: number | null;
  readonly freshnessSeconds: number | null;
  readonly lastError: unknown;
}

export interface Sample {
  readonly atMs: number;
  /** When sluice asked its stores, in milliseconds since 1970: before `atMs`, by a second at most. */
  readonly collectedAtMs: number;
  readonly shards: readonly ShardSample[];
  readonly warnings: readonly string[];
}

interface ShardSample extends ShardView {
  /** Entries that Debezium has added to the stream, ever. */
  readonly added: number;
  /** Of these, those that are committed in the read database. */
  readonly applied: number;
}

interface Report {
  readonly collectedAt: string;
  readonly shards: readonly ShardView[];
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
}

/** Asks sluice for its status and Redis for the streams' lengths; undefined when sluice does not answer now. */
export async function takeSample(httpUrl: string, redis: Redis): Promise<Sample | undefined> {
  const report = await readStatus(httpUrl);
  if (report === undefined) return undefined;
  const shards = await Promise.all(
    report.shards.map(async (shard) => {
      const added = await entriesAdded(redis, shard.stream);
      // The lag counts what is pending, too.
      return { ...shard, added, applied: Math.max(0, added - (shard.lagEntries ?? 0)) };
    }),
  );
  const warnings = report.warnings.map((warning) => `${warning.code}: ${warning.message}`);
  const collectedAtMs = Date.parse(report.collectedAt);
  return { atMs: performance.now(), collectedAtMs, shards, warnings };
}

async function readStatus(httpUrl: string): Promise<Report | undefined> {
  try {
    const response = await fetch(`${httpUrl}/status`, { signal: AbortSignal.timeout(5_000) });
    if (!response.ok) return undefined;
    return (await response.json()) as Report;
  } catch {
    return undefined;
  }
}

/** Counts trimmed entries too. A stream that no event has reached yet is not there. */
async function entriesAdded(redis: Redis, stream: string): Promise<number> {
  if ((await redis.exists(stream)) === 0) return 0;
  const reply: unknown = await redis.xinfo("STREAM", stream);
  if (!Array.isArray(reply)) return 0;
  return Number(reply[reply.indexOf("entries-added") + 1] ?? 0);
}

/** Nothing waits in any shard, and nothing is unknown. */
export function isDrained(sample: Sample): boolean {
  return (
    sample.shards.length > 0 &&
    sample.shards.every((shard) => shard.lagEntries === 0 && shard.pendingEntries === 0)
  );
}
