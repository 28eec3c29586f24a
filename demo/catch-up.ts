import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { isDrained, type Sample } from "./status.ts";

export interface CatchUp {
  readonly primaryUrl: string;
  readonly readUrl: string;
  readonly sample: () => Promise<Sample | undefined>;
  readonly timeoutMs: number;
}

/**
 * Waits until the read database holds everything that the primary has committed.
 *
 * Debezium sends in commit order: once the last row has arrived, all others are in Redis at least, and nothing may wait there by a report
 * from after that.
 */
export async function waitUntilCaughtUp({ primaryUrl, readUrl, sample, timeoutMs }: CatchUp): Promise<void> {
  const marker = randomUUID();
  const insert = "INSERT INTO shop.users (public_id, name) VALUES ($1, 'The last row')";
  await query(primaryUrl, insert, [marker]);
  const deadline = performance.now() + timeoutMs;
  let arrivedAt: number | undefined;
  let latest: Sample | undefined;
  while (performance.now() < deadline) {
    if ((await query(readUrl, "SELECT FROM shop.users WHERE public_id = $1", [marker])) === 1)
      arrivedAt ??= Date.now();
    latest = arrivedAt === undefined ? undefined : await sample();
    if (latest !== undefined && latest.collectedAtMs > (arrivedAt ?? Infinity) && isDrained(latest)) return;
    await sleep(200);
  }
  throw new Error(
    `the read database has not caught up within ${timeoutMs / 1000} s: ${reason(arrivedAt !== undefined, latest)}`,
  );
}

function reason(arrived: boolean, sample: Sample | undefined): string {
  if (!arrived) return "the row that was written last is not there";
  if (sample === undefined) return "sluice does not report its status";
  const waiting = sample.shards.filter((shard) => shard.lagEntries !== 0 || shard.pendingEntries !== 0);
  return waiting
    .map(
      (shard) => `${shard.stream} has lag ${shard.lagEntries ?? "?"}, pending ${shard.pendingEntries ?? "?"}`,
    )
    .join("; ");
}

async function query(url: string, text: string, values: readonly unknown[]): Promise<number | null> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query(text, [...values])).rowCount;
  } finally {
    await client.end();
  }
}
