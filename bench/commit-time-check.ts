import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { percentile } from "./statistics.ts";

/**
 * How much later than its commit time a transaction became visible, at least, in milliseconds. PostgreSQL takes the time just
 * before it writes the commit, so this is what latencies read from commit times can be too short by.
 */
export interface CommitTimeCheck {
  /** New checkpoints that were looked at. */
  readonly commits: number;
  /** How many of them were stamped before an earlier look that did not show them. */
  readonly seenLate: number;
  readonly p99Ms: number;
  readonly highestMs: number;
}

const lookEveryMs = 100;

interface Look {
  readonly stream: string;
  readonly applied: string;
  readonly committed_ms: number;
  readonly asked_ms: number;
}

/** Looks at the shards' checkpoints ten times a second; a hundred times took a fifteenth of a core from what is measured. */
export function watchCommitTimes(url: string): AsyncDisposable & { end(): Promise<CommitTimeCheck> } {
  const lateness: number[] = [];
  let ended = false;
  const watching = watch(url, lateness, () => ended);
  const end = async (): Promise<CommitTimeCheck> => {
    ended = true;
    await watching;
    const sorted = lateness.sort((a, b) => a - b);
    return {
      commits: sorted.length,
      seenLate: sorted.filter((ms) => ms > 0).length,
      p99Ms: percentile(sorted, 0.99),
      highestMs: sorted.at(-1) ?? 0,
    };
  };
  return { end, [Symbol.asyncDispose]: async () => void (await end()) };
}

async function watch(url: string, lateness: number[], isEnded: () => boolean): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const applied = new Map<string, string>();
  let lastAsked = Number.POSITIVE_INFINITY;
  while (!isEnded()) {
    const { rows } = await client.query<Look>({
      name: "look",
      text: `SELECT stream, changes_applied::text AS applied, (extract(epoch FROM now()) * 1000)::float8 AS asked_ms,
        (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::float8 AS committed_ms FROM sluice.shard`,
    });
    for (const look of rows) {
      if (applied.get(look.stream) === look.applied) continue;
      // Not shown by the last look, so it became visible after that, whatever time it bears.
      if (applied.has(look.stream)) lateness.push(Math.max(0, lastAsked - look.committed_ms));
      applied.set(look.stream, look.applied);
    }
    lastAsked = rows[0]?.asked_ms ?? lastAsked;
    await sleep(lookEveryMs);
  }
  await client.end();
}
