import type { Work } from "../batch/work.ts";
import type { Change } from "../change/change.ts";
import { counters, noOperations, type TableChanges } from "../change/count-changes.ts";
import type { Skip } from "../decode/decode-chunk.ts";
import type { ErrorCode } from "../errors/codes.ts";
import type { SluiceError } from "../errors/sluice-error.ts";
import type { SkipReason } from "../observe/progress.ts";

/** What a replay did to one table. Operations are changes before folding; the others are what became of them. */
export interface ReplayedTable extends TableChanges {
  /** Made needless by a newer change of the same row in the same chunk. */
  readonly folded: number;
  /** Let through by the guard; of a dry run: would have been. */
  readonly written: number;
  /** Older than the row that is there, or than its delete. */
  readonly stale: number;
  /** Of those written: updates that left unchanged large values as they are in the read database. */
  readonly partial: number;
  /** Rows that could not be brought back, because a large value of theirs is not known. */
  readonly unknown: number;
}

/** Entries that were left out for one reason. */
export interface LeftOut {
  readonly code: ErrorCode;
  /** Null: not known, or no matter. */
  readonly table: string | null;
  readonly entries: number;
  readonly firstId: string;
  readonly lastId: string;
  /** Of the first. */
  readonly message: string;
  readonly remedy: string;
}

/** Rows of one table that could not be brought back for one reason. */
export interface UnknownRows {
  readonly table: string;
  readonly code: UnknownCode;
  readonly rows: number;
  /** Entry of the first change that could not be done. */
  readonly firstId: string;
}

export type UnknownCode = "LARGE_VALUE_UNKNOWN" | "KEY_CHANGE_WAITS";

export interface Replayed {
  readonly entries: number;
  readonly tables: readonly ReplayedTable[];
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>;
  readonly leftOut: readonly LeftOut[];
  readonly unknownRows: readonly UnknownRows[];
}

/** What became of some rows of one table. */
export interface TableOutcome {
  readonly table: string;
  readonly written: number;
  readonly stale: number;
  readonly partial: number;
  /** Keys of rows that are whole or gone after this. */
  readonly settled: readonly string[];
  readonly unknown: readonly { readonly work: Work; readonly code: UnknownCode }[];
}

/** What a transaction did. */
export interface Outcome {
  readonly changes: readonly Change[];
  readonly folded: ReadonlyMap<string, number>;
  /** In the order in which they were done. */
  readonly steps: readonly TableOutcome[];
  readonly leftOut: readonly { readonly change: Change; readonly error: SluiceError }[];
}

type Counts = { -readonly [Key in keyof Omit<ReplayedTable, "table">]: ReplayedTable[Key] };

/** Rows remembered by key; what comes beyond is counted by change, so that memory stays bounded (I9). */
const mostRemembered = 100_000;

/** Adds up what the replay of one stream does. */
export class ReplayTally {
  private entries = 0;
  private readonly tables = new Map<string, Counts>();
  private readonly skipped = new Map<SkipReason, number>();
  private readonly leftOut = new Map<string, LeftOut>();
  /** By table and key: a later change may still bring the row. */
  private readonly unknown = new Map<
    string,
    Map<string, { readonly code: UnknownCode; readonly id: string }>
  >();
  private readonly forgotten = new Map<string, UnknownRows>();
  private remembered = 0;

  read(entries: number, skips: readonly Pick<Skip, "reason">[]): void {
    this.entries += entries;
    for (const { reason } of skips) this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + 1);
  }

  /** `idOf` gives the entry of a change. */
  add(outcome: Outcome, idOf: (change: Change) => string): void {
    for (const change of outcome.changes) this.of(change.table.id)[counters[change.op]]++;
    for (const [table, count] of outcome.folded) this.of(table).folded += count;
    for (const step of outcome.steps) this.step(step, idOf);
    for (const { change, error } of outcome.leftOut)
      this.leaveOut(idOf(change), error.at({ table: change.table.id }));
  }

  /** Counts one entry that could not be done at all. */
  leaveOut(id: string, error: SluiceError): void {
    const table = error.place.table ?? null;
    const group = `${error.code} ${table}`;
    const known = this.leftOut.get(group);
    const { code, message, remedy } = error;
    this.leftOut.set(
      group,
      known === undefined
        ? { code, table, entries: 1, firstId: id, lastId: id, message, remedy }
        : { ...known, entries: known.entries + 1, lastId: id },
    );
  }

  result(): Replayed {
    const unknownRows = this.unknownRows();
    return {
      entries: this.entries,
      tables: [...this.tables]
        .map(([table, counts]) => ({
          table,
          ...counts,
          unknown: sum(unknownRows.filter((each) => each.table === table).map(({ rows }) => rows)),
        }))
        .sort((left, right) => (left.table < right.table ? -1 : 1)),
      skipped: Object.fromEntries(this.skipped),
      leftOut: [...this.leftOut.values()],
      unknownRows,
    };
  }

  private of(table: string): Counts {
    let counts = this.tables.get(table);
    if (counts === undefined) this.tables.set(table, (counts = { ...nothing }));
    return counts;
  }

  private step(step: TableOutcome, idOf: (change: Change) => string): void {
    const counts = this.of(step.table);
    counts.written += step.written;
    counts.stale += step.stale;
    counts.partial += step.partial;
    const rows = this.unknown.get(step.table);
    if (rows !== undefined) {
      for (const key of step.settled) if (rows.delete(key)) this.remembered--;
    }
    for (const { work, code } of step.unknown)
      this.remember(step.table, work.change.key ?? "", code, idOf(work.change));
  }

  private remember(table: string, key: string, code: UnknownCode, id: string): void {
    let rows = this.unknown.get(table);
    if (rows === undefined) this.unknown.set(table, (rows = new Map()));
    if (rows.has(key)) return;
    if (this.remembered < mostRemembered) {
      rows.set(key, { code, id });
      this.remembered++;
      return;
    }
    const group = `${table} ${code}`;
    const known = this.forgotten.get(group) ?? { table, code, rows: 0, firstId: id };
    this.forgotten.set(group, { ...known, rows: known.rows + 1 });
  }

  private unknownRows(): UnknownRows[] {
    const groups = new Map<string, UnknownRows>();
    for (const [table, rows] of this.unknown) {
      for (const { code, id } of rows.values()) {
        const known = groups.get(`${table} ${code}`) ?? { table, code, rows: 0, firstId: id };
        groups.set(`${table} ${code}`, { ...known, rows: known.rows + 1 });
      }
    }
    for (const [group, more] of this.forgotten) {
      const known = groups.get(group) ?? { ...more, rows: 0 };
      groups.set(group, { ...known, rows: known.rows + more.rows });
    }
    return [...groups.values()];
  }
}

const nothing: Counts = {
  ...noOperations(),
  folded: 0,
  written: 0,
  stale: 0,
  partial: 0,
  unknown: 0,
};

/** The counts of several streams, by table. */
export function addTables(parts: readonly (readonly ReplayedTable[])[]): readonly ReplayedTable[] {
  const total = new Map<string, ReplayedTable>();
  for (const each of parts.flat()) {
    const known = total.get(each.table);
    total.set(each.table, known === undefined ? each : addTable(known, each));
  }
  return [...total.values()].sort((left, right) => (left.table < right.table ? -1 : 1));
}

function addTable(left: ReplayedTable, right: ReplayedTable): ReplayedTable {
  const added = { ...left };
  for (const name of Object.keys(nothing) as (keyof Counts)[])
    Object.assign(added, { [name]: left[name] + right[name] });
  return added;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
