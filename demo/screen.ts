import { z } from "zod";

const shard = z.object({
  stream: z.string(),
  state: z.string().nullable(),
  owner: z.string().nullable(),
  lagEntries: z.number().nullable(),
  pendingEntries: z.number().nullable(),
  freshnessSeconds: z.number().nullable(),
  lastError: z.unknown().optional(),
});
const statusSchema = z.object({ shards: z.array(shard), warnings: z.array(z.unknown()).optional() });

export type Status = z.infer<typeof statusSchema>;

/** What sluice says of itself; undefined when it does not answer. */
export async function readStatus(httpUrl: string): Promise<Status | undefined> {
  try {
    const response = await fetch(`${httpUrl}/status`, { signal: AbortSignal.timeout(5_000) });
    return statusSchema.parse(await response.json());
  } catch {
    return undefined;
  }
}

/** Null is not zero: a lag that is not known is not a lag that is gone. */
export function isDrained(status: Status): boolean {
  return status.shards.every((each) => each.lagEntries === 0 && each.pendingEntries === 0);
}

/** One step with its time, for the start. */
export async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  if (process.stdout.isTTY) process.stdout.write(`  ${title} …`);
  try {
    const result = await work();
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    process.stdout.write(`${process.stdout.isTTY ? "\r\u001B[K" : ""}✓ ${title} ${seconds} s\n`);
    return result;
  } catch (error) {
    process.stdout.write(`${process.stdout.isTTY ? "\r\u001B[K" : ""}✗ ${title}\n`);
    throw error;
  }
}

export class Screen {
  #drawn = 0;

  /** A table that stays in place on a terminal, and one line elsewhere. */
  show(status: Status | undefined, eventsPerSecond: number): void {
    if (!process.stdout.isTTY) {
      console.log(line(status, eventsPerSecond));
      return;
    }
    const lines = table(status, eventsPerSecond);
    const back = this.#drawn === 0 ? "" : `\u001B[${this.#drawn}A`;
    process.stdout.write(`${back}${lines.map((text) => `\u001B[K${text}\n`).join("")}\u001B[J`);
    this.#drawn = lines.length;
  }
}

function line(status: Status | undefined, eventsPerSecond: number): string {
  if (status === undefined) return `${eventsPerSecond.toFixed(0)} changes/s; sluice does not answer`;
  const lag = status.shards.map((each) => each.lagEntries ?? "?").join(" ");
  const freshness = status.shards.map((each) => seconds(each.freshnessSeconds)).join(" ");
  return [
    `${eventsPerSecond.toFixed(0)} changes/s · lag ${lag} · freshness ${freshness}`,
    ...errors(status),
  ].join("\n");
}

function table(status: Status | undefined, eventsPerSecond: number): string[] {
  const head = `${eventsPerSecond.toFixed(0)} changes/s at the primary`;
  if (status === undefined) return [head, "sluice does not answer"];
  const rows = status.shards.map((each) =>
    [
      each.stream.padEnd(12),
      (each.state ?? "-").padEnd(12),
      String(each.lagEntries ?? "?").padStart(8),
      String(each.pendingEntries ?? "?").padStart(8),
      seconds(each.freshnessSeconds).padStart(10),
    ].join(" "),
  );
  const titles = `${"stream".padEnd(12)} ${"state".padEnd(12)} ${"lag".padStart(8)} ${"pending".padStart(8)} ${"freshness".padStart(10)}`;
  return [head, titles, ...rows, ...errors(status)];
}

function seconds(value: number | null): string {
  return value === null ? "-" : `${value.toFixed(2)}s`;
}

export function errors(status: Status): string[] {
  return status.shards.flatMap((each) =>
    each.lastError === null || each.lastError === undefined
      ? []
      : [
          `${each.stream}: ${typeof each.lastError === "string" ? each.lastError : JSON.stringify(each.lastError)}`,
        ],
  );
}
