import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import type { StatusReport } from "../../src/pipeline/status.ts";

/** The table whose rows mark places in the primary's log; `waitUntilCaughtUp` writes to it. */
export const markerTable = "CREATE TABLE public.marker (id uuid PRIMARY KEY)";

export interface CatchUp {
  readonly primaryUrl: string;
  readonly readUrl: string;
  /** Of the running sluice. */
  readonly httpUrl: string;
  readonly timeoutMs?: number;
}

/**
 * Waits until all that is committed at the primary by now is applied. A marker that arrived proves that everything before it is
 * in the streams, since Debezium appends in commit order; shards that have no lag in a report from after that have applied it.
 */
export async function waitUntilCaughtUp(options: CatchUp): Promise<void> {
  const deadline = performance.now() + (options.timeoutMs ?? 120_000);
  const id = randomUUID();
  await query(options.primaryUrl, "INSERT INTO public.marker VALUES ($1)", [id]);
  let seenAt: number | undefined;
  let status: StatusReport | undefined;
  while (performance.now() < deadline) {
    const marked = await query(options.readUrl, "SELECT FROM public.marker WHERE id = $1", [id]).catch(
      () => 0,
    );
    if (marked === 1) seenAt ??= Date.now();
    status = await statusOf(options.httpUrl);
    const behind = status?.shards.filter((shard) => shard.lagEntries !== 0 || shard.pendingEntries !== 0);
    if (isAfter(status, seenAt) && behind?.length === 0) return;
    await pause(100);
  }
  const marker = seenAt === undefined ? "not seen" : "seen";
  throw new Error(`not caught up; marker ${marker}; ${JSON.stringify(status?.shards)}`);
}

/** The server's reports may be from before. */
export function isAfter(status: StatusReport | undefined, time: number | undefined): boolean {
  return status !== undefined && time !== undefined && Date.parse(status.collectedAt) > time;
}

export async function statusOf(httpUrl: string): Promise<StatusReport | undefined> {
  try {
    const answer = await fetch(`${httpUrl}/status`);
    return answer.ok ? ((await answer.json()) as StatusReport) : undefined;
  } catch {
    return undefined;
  }
}

/** The number of rows. */
async function query(url: string, text: string, values: readonly unknown[]): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query(text, [...values])).rowCount ?? 0;
  } finally {
    await client.end();
  }
}
