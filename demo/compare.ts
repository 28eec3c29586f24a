import pg from "pg";
import { listTables, type TableShape } from "./compare-catalog.ts";

/**
 * Compares two databases row by row, as text.
 *
 * Both sides are read in the same order, by key, bytewise, whatever the databases' collations are, in steps: memory stays flat.
 */
export interface Comparison {
  readonly tables: readonly TableComparison[];
  readonly equal: boolean;
}

interface TableComparison {
  /** schema.table */
  readonly table: string;
  /** Rows in the primary. */
  readonly rows: number;
  readonly equal: boolean;
  /** One line each: the key and the columns that differ. The first ones only. */
  readonly differences: readonly string[];
}

export interface CompareOptions {
  /** schema.table; without it, every user table of the primary. */
  readonly tables?: readonly string[];
}

const maximumDifferences = 20;
const step = 500;
/** Longer values are compared by length and digest: a step of megabytes would fill the memory. */
const longValueBytes = 65_536;

export async function compareDatabases(
  primaryUrl: string,
  readUrl: string,
  options: CompareOptions = {},
): Promise<Comparison> {
  await using primary = await openSession(primaryUrl);
  await using read = await openSession(readUrl);
  const shapes = await listTables(primary.client);
  const wanted = options.tables;
  const chosen = wanted === undefined ? shapes : wanted.map((name) => shapeOf(shapes, name));
  // A comparison that compares nothing finds no difference either.
  if (chosen.length === 0) throw new Error("the primary has no tables to compare");
  const copies = new Map((await listTables(read.client)).map((shape) => [shape.name, shape]));
  const tables: TableComparison[] = [];
  for (const shape of chosen) {
    tables.push(await compareTable(primary.client, read.client, { shape, copy: copies.get(shape.name) }));
  }
  return { tables, equal: tables.every((table) => table.equal) };
}

function shapeOf(shapes: readonly TableShape[], name: string): TableShape {
  const shape = shapes.find((each) => each.name === name);
  if (shape === undefined) throw new Error(`the primary has no table ${name}`);
  return shape;
}

interface Session extends AsyncDisposable {
  readonly client: pg.Client;
}

async function openSession(connectionString: string): Promise<Session> {
  const client = new pg.Client({ connectionString });
  // What breaks it fails its statement; without a listener it would end the process.
  client.on("error", () => undefined);
  await client.connect();
  // What decides how a value is written; the rest are the server's defaults.
  await client.query("SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'");
  await client.query("SET bytea_output = 'hex'; SET extra_float_digits = 1; SET lc_monetary = 'C'");
  await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

interface Pair {
  readonly shape: TableShape;
  readonly copy: TableShape | undefined;
}

async function compareTable(primary: pg.Client, read: pg.Client, pair: Pair): Promise<TableComparison> {
  const { shape, copy } = pair;
  const missing = copy && shape.columns.filter((column) => !copy.columns.includes(column));
  if (missing === undefined || missing.length > 0) {
    const { rows } = await primary.query<{ n: string }>(`SELECT count(*) AS n FROM ${shape.from}`);
    const what = missing === undefined ? "the table" : `column ${missing.join(", ")}`;
    const differences = [`${what} is missing in the read database`];
    return { table: shape.name, rows: Number(rows[0]?.n), equal: false, differences };
  }
  return compareRows(shape, readRows(primary, shape), readRows(read, shape));
}

type Value = string | null;
interface Row {
  readonly key: readonly Value[];
  readonly values: readonly Value[];
}

/** A merge of two sorted sequences: what is on one side only, and what differs, shows without holding either. */
async function compareRows(
  shape: TableShape,
  primary: AsyncGenerator<Row, undefined>,
  read: AsyncGenerator<Row, undefined>,
): Promise<TableComparison> {
  const differences: string[] = [];
  let unequal = 0;
  let rows = 0;
  const report = (text: string): void => {
    unequal++;
    if (differences.length < maximumDifferences) differences.push(text);
  };
  let left = (await primary.next()).value;
  let right = (await read.next()).value;
  while (left !== undefined || right !== undefined) {
    const order = compareKeys(left?.key, right?.key);
    if (order < 0) report(`${describe(shape, left)} is missing in the read database`);
    else if (order > 0) report(`${describe(shape, right)} is not in the primary`);
    else {
      const columns = differingColumns(shape, left, right);
      if (columns.length > 0) report(`${describe(shape, left)} differs in ${columns.join(", ")}`);
    }
    if (order <= 0) {
      rows++;
      left = (await primary.next()).value;
    }
    if (order >= 0) right = (await read.next()).value;
  }
  if (unequal > differences.length) differences.push(`… and ${unequal - differences.length} more`);
  return { table: shape.name, rows, equal: unequal === 0, differences };
}

/** Sorted by the text of the key, or by all columns for a table without one: equal rows then stand side by side. */
async function* readRows(client: pg.Client, shape: TableShape): AsyncGenerator<Row, undefined> {
  const keyColumns = shape.key.length > 0 ? shape.key : shape.columns;
  const columns = shape.columns.map((column) => shortText(client.escapeIdentifier(column)));
  const keys = keyColumns.map((column) => shortText(client.escapeIdentifier(column)));
  const order = keys.map((key) => `${key} COLLATE "C"`);
  const list = [...columns, ...keys];
  // A table without columns still has rows.
  const select = `SELECT ${list.join(", ")} FROM ${shape.from}`;
  const sorted = order.length > 0 ? `${select} ORDER BY ${order.join(", ")}` : select;
  await client.query(`DECLARE comparison NO SCROLL CURSOR FOR ${sorted}`);
  try {
    for (;;) {
      const { rows } = await client.query<Value[]>({
        text: `FETCH ${step} FROM comparison`,
        rowMode: "array",
      });
      if (rows.length === 0) return undefined;
      for (const row of rows) yield { values: row.slice(0, columns.length), key: row.slice(columns.length) };
    }
  } finally {
    await client.query("CLOSE comparison");
  }
}

function shortText(column: string): string {
  const text = `${column}::text`;
  const digest = `octet_length(${text}) || ' bytes, md5 ' || md5(${text})`;
  return `CASE WHEN octet_length(${text}) > ${longValueBytes} THEN ${digest} ELSE ${text} END`;
}

/** As PostgreSQL sorts with collation C, NULL last; an ended side is behind everything. */
function compareKeys(left: readonly Value[] | undefined, right: readonly Value[] | undefined): number {
  if (left === undefined || right === undefined) return left === right ? 0 : left === undefined ? 1 : -1;
  for (const [index, a] of left.entries()) {
    const b = right[index] ?? null;
    if (a === b) continue;
    if (a === null) return 1;
    if (b === null) return -1;
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  return 0;
}

function differingColumns(shape: TableShape, left: Row | undefined, right: Row | undefined): string[] {
  return shape.columns.filter((_, index) => left?.values[index] !== right?.values[index]);
}

function describe(shape: TableShape, row: Row | undefined): string {
  const named = shape.key.map((column, index) => `${column}=${row?.key[index] ?? "NULL"}`);
  // Without a key, only the row itself can name it.
  const text =
    named.length > 0 ? named.join(", ") : (row?.values ?? []).map((value) => value ?? "NULL").join("|");
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
