import type { Row, TableShape } from "./table-shape.ts";

/** One committed change of a row. */
export interface Change {
  readonly op: "c" | "u" | "d";
  readonly table: TableShape;
  /** The whole new row; of a delete only the key counts. */
  readonly row: Row;
}

/**
 * What sluice and its references apply: the same rows are there before, the same changes come in the same order. Both can be
 * gone through several times and are the same each time.
 */
export interface Load {
  readonly name: string;
  readonly tables: readonly TableShape[];
  /** How many changes. */
  readonly size: number;
  existing(): Iterable<ExistingRow>;
  changes(): Iterable<Change>;
}

export interface ExistingRow {
  readonly table: TableShape;
  readonly row: Row;
}

export function idOf(row: Row): number {
  return Number(row[0]);
}
