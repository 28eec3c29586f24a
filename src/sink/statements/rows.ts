import type { ShapePlan } from "../../catalog/shape-plan.ts";
import type { Span } from "../../decode/span.ts";
import { quoteName } from "../sql.ts";

/**
 * The rows of a statement: images as one JSON array beside arrays of what each row carries along. PostgreSQL parses the images
 * that Debezium wrote; nothing is built for each row on the way, which made 100,000 rows/s of the 80,000 that arrays of
 * values made.
 *
 * The columns are read by the images' own names and aliased to c0, c1, …; no name can clash with those carried along.
 */
export function rowsFrom(
  plan: ShapePlan,
  extras: readonly (readonly [alias: string, sqlType: string])[],
): string {
  const record = plan.columns
    .map((column) => `${quoteName(column.name)} ${column.codec.recordType}`)
    .join(", ");
  const carried = extras.map(([, type], index) => `unnest($${index + 2}::${type}[])`).join(", ");
  const aliases = [...plan.columns.map((_, index) => `c${index}`), ...extras.map(([alias]) => alias)].join(
    ", ",
  );
  return `ROWS FROM (json_to_recordset($1::json) AS (${record}), ${carried}) AS r(${aliases})`;
}

/**
 * The same rows from arrays alone, a text[] for each column: the columns from $1 on, then what each row carries along. PostgreSQL neither
 * parses JSON nor makes a record of it, which is a third of what an upsert costs it.
 */
export function rowsFromArrays(
  plan: ShapePlan,
  extras: readonly (readonly [alias: string, sqlType: string])[],
): string {
  const columns = plan.columns.map(
    ({ codec }, index) => `unnest($${index + 1}::text[])::${codec.recordType} AS c${index}`,
  );
  const carried = extras.map(
    ([alias, type], index) => `unnest($${columns.length + index + 1}::${type}[]) AS ${alias}`,
  );
  return `(SELECT ${[...columns, ...carried].join(", ")}) AS r`;
}

/** SQL for the value of the plan's column at `index`. */
export function valueOf(plan: ShapePlan, index: number): string {
  const column = plan.columns[index];
  if (column === undefined) throw new RangeError(`no column ${index}`);
  return column.codec.expression(`r.c${index}`);
}

/**
 * SQL for the values of the key's columns. Images lack those that the database computes; the key's object, which such statements carry
 * along as r.k, has them.
 */
export function keyValues(plan: ShapePlan): readonly { readonly column: string; readonly value: string }[] {
  return plan.table.key.map((name) => {
    const index = plan.columns.findIndex((column) => column.name === name);
    return { column: quoteName(name), value: index < 0 ? valueFromKey(plan, name) : valueOf(plan, index) };
  });
}

function valueFromKey({ table }: ShapePlan, name: string): string {
  const codec = table.columns.get(name)?.codec;
  if (codec === undefined) throw new RangeError(`the key's column ${name} cannot be read`);
  const column = quoteName(name);
  const record = `json_to_record(r.k::json) AS o(${column} ${codec.recordType})`;
  return `(SELECT ${codec.expression(`o.${column}`)} FROM ${record})`;
}

/** The array of images that is a statement's first parameter; sent as it is, without becoming a string. */
export function jsonArray(images: readonly Span[]): Buffer {
  let length = images.length + 1;
  for (const { start, end } of images) length += end - start;
  const array = Buffer.allocUnsafe(Math.max(2, length));
  array[0] = bracketOpen;
  let at = 1;
  for (const { bytes, start, end } of images) {
    if (at > 1) array[at++] = comma;
    at += bytes.copy(array, at, start, end);
  }
  array[at] = bracketClose;
  return array;
}

const bracketOpen = 0x5b;
const comma = 0x2c;
const bracketClose = 0x5d;
