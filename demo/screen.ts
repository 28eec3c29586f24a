import type { Sample } from "./status.ts";

/** Progress and the live table, on standard error: a terminal gets a table that stays in place, a log gets one line at a time. */
export interface Screen {
  /** Does `work` and says how long it took. */
  step<Result>(name: string, work: () => Promise<Result>): Promise<Result>;
  say(text: string): void;
  show(sample: Sample): void;
  /** The last table, with averages since the first one; a terminal has it already. */
  conclude(sample: Sample): void;
}

type Output = Pick<NodeJS.WriteStream, "write" | "isTTY">;

export function createScreen(output: Output): Screen {
  let first: Sample | undefined;
  let previous: Sample | undefined;
  let drawnLines = 0;
  const say = (text: string): void => {
    // What is said stays; the next table is drawn below it.
    drawnLines = 0;
    output.write(`${text}\n`);
  };
  return {
    say,
    async step(name, work) {
      const startedAt = performance.now();
      const seconds = (): string => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
      if (output.isTTY) output.write(`… ${name}`);
      const clear = output.isTTY ? "\r\x1b[2K" : "";
      try {
        const result = await work();
        say(`${clear}✓ ${name} ${seconds()}`);
        return result;
      } catch (error) {
        say(`${clear}✗ ${name} ${seconds()}`);
        throw error;
      }
    },
    show(sample) {
      const lines = output.isTTY ? tableLines(sample, previous) : [summaryLine(sample, previous)];
      const up = output.isTTY && drawnLines > 0 ? `\x1b[${drawnLines}A\x1b[J` : "";
      output.write(`${up}${lines.join("\n")}\n`);
      drawnLines = lines.length;
      first ??= sample;
      previous = sample;
    },
    conclude(sample) {
      if (!output.isTTY) say(tableLines(sample, first).join("\n"));
    },
  };
}

function tableLines(sample: Sample, previous: Sample | undefined): string[] {
  const rows = sample.shards.map((shard, index) => [
    shard.stream,
    shard.state,
    shard.owner ?? "-",
    rate(shard.applied, previous?.shards[index]?.applied, elapsed(sample, previous)),
    number(shard.lagEntries),
    number(shard.pendingEntries),
    seconds(shard.freshnessSeconds),
  ]);
  const all = [["STREAM", "STATE", "OWNER", "EVENTS/S", "LAG", "PENDING", "FRESHNESS"], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  const table = all.map((row) =>
    row.map((cell, column) => align(cell, column, widths[column] ?? 0)).join("  "),
  );
  return [
    "",
    ...table,
    "",
    summaryLine(sample, previous),
    ...sample.warnings.map((text) => `warning ${text}`),
  ];
}

/** Names to the left, numbers to the right. */
function align(cell: string, column: number, width: number): string {
  return column < 3 ? cell.padEnd(width) : cell.padStart(width);
}

function summaryLine(sample: Sample, previous: Sample | undefined): string {
  const time = elapsed(sample, previous);
  const written = rate(sum(sample, "added"), previous && sum(previous, "added"), time);
  const applied = rate(sum(sample, "applied"), previous && sum(previous, "applied"), time);
  const known = sample.shards.flatMap((shard) => shard.freshnessSeconds ?? []);
  const freshness = seconds(known.length > 0 ? Math.max(...known) : null);
  const failing = sample.shards.filter((shard) => shard.lastError !== null).map((shard) => shard.stream);
  const errors = failing.length > 0 ? ` · errors in ${failing.join(", ")}` : "";
  const waiting = `lag ${number(sum(sample, "lagEntries"))} · pending ${number(sum(sample, "pendingEntries"))}`;
  return `events/s in ${written}, applied ${applied} · ${waiting} · freshness at most ${freshness}${errors}`;
}

function sum(sample: Sample, field: "added" | "applied" | "lagEntries" | "pendingEntries"): number {
  return sample.shards.reduce((total, shard) => total + (shard[field] ?? 0), 0);
}

function elapsed(sample: Sample, previous: Sample | undefined): number {
  return previous === undefined ? 0 : (sample.atMs - previous.atMs) / 1000;
}

function rate(now: number, before: number | undefined, time: number): string {
  return before === undefined || time <= 0 ? "-" : number(Math.max(0, Math.round((now - before) / time)));
}

function number(value: number | null): string {
  return value === null ? "?" : value.toLocaleString("en-US");
}

function seconds(value: number | null): string {
  return value === null ? "-" : `${value.toFixed(1)} s`;
}
