import type { ReplayResult, StreamReplay } from "../pipeline/replay.ts";
import { errorDetail } from "../sink/replay-store.ts";
import { alignedTable } from "./console-io.ts";

/** What was done, for people: one line for each table. */
export function replayTable({ tables, dryRun }: ReplayResult): string {
  const header = ["TABLE", "INSERTS", "UPDATES", "DELETES", "READS", "TRUNCATES", "FOLDED"];
  const rows = tables.map((each) => [
    each.table,
    ...[each.inserts, each.updates, each.deletes, each.reads, each.truncates, each.folded].map(String),
    ...[each.written, each.stale, each.unknown].map(String),
  ]);
  return alignedTable([...header, dryRun ? "WOULD WRITE" : "WRITTEN", "STALE", "UNKNOWN"], rows);
}

/** The contract of `sluice replay --json`. Fields may be added, never renamed. */
export function replayJson(result: ReplayResult): string {
  const streams = result.streams.map((each) => ({
    ...each,
    error: each.error === null ? null : errorDetail(each.error),
  }));
  return `${JSON.stringify({ ...result, streams })}\n`;
}

/** Everything that was asked for and is not restored: nothing is passed over in silence (I8). */
export function shortcomings({ stream, leftOut, unknownRows }: StreamReplay): readonly string[] {
  const entries = leftOut.map(({ code, table, entries: count, firstId, lastId, message, remedy }) => {
    const where = count === 1 ? firstId : `${firstId} … ${lastId}`;
    const which = table === null ? "" : ` of ${table}`;
    return `${counted(count, "entry", "entries")}${which} left out of ${stream} (${where}): ${code}: ${message}. ${remedy}`;
  });
  const rows = unknownRows.map(({ table, code, rows: count, firstId }) => {
    const why =
      code === "LARGE_VALUE_UNKNOWN"
        ? "their large values were not in the range; begin earlier or take a new snapshot"
        : "their large values come with their old keys' changes; replay the other streams first, then this one again";
    return `${counted(count, "row", "rows")} of ${table}: ${why} (${code}, first in ${stream} at ${firstId})`;
  });
  return [...entries, ...rows];
}

/** What is as it should be, and still worth knowing. */
export function remarks(result: ReplayResult): readonly string[] {
  const partial = result.tables
    .filter((table) => table.partial > 0)
    .map(
      ({ table, partial: count }) =>
        `${counted(count, "update", "updates")} of ${table} did not carry unchanged large values; those columns were left as they are`,
    );
  const gaps = result.streams.flatMap(({ stream, gaps: each }) =>
    each.map(
      ({ missing, firstLeft }) =>
        `${stream}: entries from ${missing} to ${firstLeft ?? "the range's end"} had been removed; accepted`,
    ),
  );
  return [...gaps, ...partial];
}

/** How an interrupted replay is taken up again. */
export function continuation({ stream, from, to, lastId, state }: StreamReplay): string | undefined {
  if (state === "done") return undefined;
  return `${stream} is done up to ${lastId ?? "nothing"}; go on with --stream ${stream} --from ${lastId ?? from} --to ${to}`;
}

/** `1 row`, `2 rows`. */
export function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
