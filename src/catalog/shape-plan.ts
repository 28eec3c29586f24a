import { binaryPlan, type BinaryPlan } from "../decode/copy-binary.ts";
import { CopyPlan, type CopyForm } from "../decode/copy-text.ts";
import type { BinaryForm } from "../decode/kernel/copy.ts";
import { gapsOf } from "../decode/member-gaps.ts";
import type { ColumnsPlan } from "../decode/text-arrays.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { positionColumn, type ReadColumn, type ReadTable } from "./read-table.ts";

/** How images with the same column names are written to one table: the columns of both, generated ones left out. */
export interface ShapePlan {
  readonly table: ReadTable;
  readonly columns: readonly WrittenColumn[];
  /** Forms of unchanged large values that the columns have; what holds none of them lacks no value. */
  readonly placeholders: readonly Buffer[];
  /** How COPY's text is made of an image; undefined: a column's type has no form for it. */
  readonly copy: CopyPlan | undefined;
  /** How a row of COPY's binary format is made of one; undefined: a column's type has no form in it. */
  readonly binary: BinaryPlan | undefined;
  /** How an array for each column is made of images; undefined: a column is not read as text. */
  readonly arrays: ColumnsPlan | undefined;
  /** The table has columns that are not written: its own, or such as came since. */
  readonly leavesColumns: boolean;
}

export type WrittenColumn = ReadColumn & { readonly codec: NonNullable<ReadColumn["codec"]> };

/**
 * Throws COLUMN_MISSING when the image has a column that the table lacks: leaving it out would drop data (I8). A column that
 * only the table has is left alone (I7).
 */
export function planShape(table: ReadTable, names: readonly string[]): ShapePlan {
  const place = { table: table.name.id };
  if (!table.prepared)
    throw new SluiceError("TABLE_NOT_PREPARED", `${table.name.id} is not prepared`, { place });
  const columns: WrittenColumn[] = [];
  const copyForms: (CopyForm | undefined)[] = [];
  const binaryForms: (BinaryForm | undefined)[] = [];
  for (const name of names) {
    // A primary that is a read database itself has one too; the position here is the sink's own.
    if (name === positionColumn) {
      copyForms.push(undefined);
      binaryForms.push(undefined);
      continue;
    }
    const column = table.columns.get(name);
    if (column === undefined) {
      const message = `${table.name.id} has no column ${name}`;
      throw new SluiceError("COLUMN_MISSING", message, { place: { ...place, column: name } });
    }
    copyForms.push(column.generated ? undefined : column.codec?.copy);
    binaryForms.push(column.generated ? undefined : column.codec?.binary);
    if (!column.generated) columns.push(written(table, column));
  }
  const gaps = gapsOf(names);
  const taken = names.map((name) => columns.some((column) => column.name === name));
  const copyable = columns.length > 0 && columns.every((column) => column.codec.copy !== undefined);
  const receivable = copyable && columns.every((column) => column.codec.binary !== undefined);
  const named = new Set(names);
  return {
    table,
    columns,
    placeholders: distinct(columns.flatMap((column) => column.placeholders)),
    copy: copyable ? new CopyPlan(copyForms, gaps) : undefined,
    binary: receivable ? binaryPlan(binaryForms, gaps) : undefined,
    arrays: columns.every(isReadAsText) ? { taken, gaps } : undefined,
    leavesColumns: [...table.columns.values()].some(({ name, generated }) => !generated && !named.has(name)),
  };
}

/** Columns outside the key whose values cannot change once the row is there. */
export function fixedColumns({ table, columns }: ShapePlan): readonly WrittenColumn[] {
  return columns.filter(({ name, identityAlways }) => identityAlways && !table.key.includes(name));
}

function distinct(texts: readonly string[]): Buffer[] {
  return [...new Set(texts)].map((text) => Buffer.from(text));
}

/** A cast from text gives what reading from JSON does, but for arrays, and for modifiers, to which it cuts. */
function isReadAsText({ codec }: WrittenColumn): boolean {
  return !/[()[\]]/.test(codec.recordType);
}

/** The plan of a delete: nothing but the key's columns. */
export function planKey(table: ReadTable, names: readonly string[]): ShapePlan {
  requireKey(table, names);
  // A generated column is compared, though never written.
  const columns = names
    .flatMap((name) => table.columns.get(name) ?? [])
    .map((column) => written(table, column));
  return { ...planShape(table, names), columns };
}

/** Throws unless the change's key columns are the table's primary key, in any order. */
export function requireKey(table: ReadTable, names: readonly string[] | undefined): void {
  const place = { table: table.name.id, keyColumns: names ?? [] };
  if (names === undefined && table.key.length === 0) return;
  if (
    names !== undefined &&
    names.length === table.key.length &&
    names.every((name) => table.key.includes(name))
  )
    return;
  throw new SluiceError(
    "KEY_MISMATCH",
    `changes of ${table.name.id} have the key (${names?.join(", ") ?? ""}), the read database's table (${table.key.join(", ")})`,
    { place },
  );
}

function written(table: ReadTable, column: ReadColumn): WrittenColumn {
  const { codec } = column;
  if (codec !== undefined) return { ...column, codec };
  throw new SluiceError(
    "TYPE_UNSUPPORTED",
    `${table.name.id}.${column.name} has the type ${column.type.sql}`,
    {
      place: { table: table.name.id, column: column.name },
    },
  );
}
