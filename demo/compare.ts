import pg from "pg";

export interface TableComparison {
  readonly table: string;
  /** Of the primary. */
  readonly rows: number;
  readonly equal: boolean;
  /** The first ones, in words. */
  readonly differences: string[];
}

export interface Comparison {
  readonly tables: TableComparison[];
  readonly equal: boolean;
}

interface Table {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly string[];
  readonly key: readonly string[];
}

interface Row {
  readonly key: string;
  readonly values: readonly (string | null)[];
}

const chunkRows = 500;
const shownDifferences = 20;

/** Compares every row of every table, as text, with what the primary has. Both sides should be at rest. */
export async function compareDatabases(
  primaryUrl: string,
  readUrl: string,
  options: { tables?: readonly string[] } = {},
): Promise<Comparison> {
  await using stack = new AsyncDisposableStack();
  const primary = stack.adopt(await open(primaryUrl), (client) => client.end());
  const read = stack.adopt(await open(readUrl), (client) => client.end());
  const tables: TableComparison[] = [];
  for (const table of await listTables(primary)) {
    const name = `${table.schema}.${table.name}`;
    if (options.tables !== undefined && !options.tables.includes(name)) continue;
    tables.push(await compareTable(primary, read, table));
  }
  return { tables, equal: tables.every((table) => table.equal) };
}

async function open(url: string): Promise<pg.Client> {
  const settings = ["TimeZone=UTC", "DateStyle=ISO", "IntervalStyle=postgres", "extra_float_digits=1"];
  const options = [...settings, "bytea_output=hex", "search_path=public,pg_catalog"].map((each) => `-c ${each}`);
  const client = new pg.Client({ connectionString: url, options: options.join(" ") });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

async function listTables(client: pg.Client): Promise<Table[]> {
  const result = await client.query<Table>(`
    SELECT n.nspname AS schema, c.relname AS name,
           array(SELECT a.attname::text FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
           array(SELECT a.attname::text FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                 WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.place) AS key
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname <> 'sluice'
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
    ORDER BY 1, 2`);
  return result.rows;
}

async function compareTable(primary: pg.Client, read: pg.Client, table: Table): Promise<TableComparison> {
  const differences: string[] = [];
  let rows = 0;
  try {
    for await (const [left, right] of pairs(rowsOf(primary, table), rowsOf(read, table))) {
      if (left !== undefined) rows += 1;
      const difference = describe(table, left, right);
      if (difference !== undefined && differences.length < shownDifferences) differences.push(difference);
    }
  } catch (error) {
    differences.push(`cannot be compared: ${error instanceof Error ? error.message : String(error)}`);
  }
  const name = `${table.schema}.${table.name}`;
  return { table: name, rows, equal: differences.length === 0, differences };
}

/** Rows of both sides in the order of their keys; a row that only one side has comes with undefined. */
async function* pairs(
  left: AsyncGenerator<Row>,
  right: AsyncGenerator<Row>,
): AsyncGenerator<[Row | undefined, Row | undefined]> {
  let a = await take(left);
  let b = await take(right);
  while (a !== undefined || b !== undefined) {
    const order = compareKeys(a, b);
    yield [order <= 0 ? a : undefined, order >= 0 ? b : undefined];
    if (order <= 0) a = await take(left);
    if (order >= 0) b = await take(right);
  }
}

async function take(rows: AsyncGenerator<Row>): Promise<Row | undefined> {
  const next = await rows.next();
  return next.done === true ? undefined : next.value;
}

/** As bytes, like COLLATE "C". */
function compareKeys(a: Row | undefined, b: Row | undefined): number {
  if (a === undefined) return 1;
  if (b === undefined) return -1;
  return a.key === b.key ? 0 : Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
}

async function* rowsOf(client: pg.Client, table: Table): AsyncGenerator<Row> {
  const quote = (name: string) => client.escapeIdentifier(name);
  const key = table.key.length > 0 ? table.key : table.columns;
  const keyText = `ARRAY[${key.map((name) => `${quote(name)}::text`).join(", ")}]::text[]::text COLLATE "C"`;
  const columns = table.columns.map((name) => `${quote(name)}::text`);
  const from = `${quote(table.schema)}.${quote(table.name)}`;
  await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  try {
    const select = `SELECT ${[keyText, ...columns].join(", ")} FROM ${from} ORDER BY 1`;
    await client.query(`DECLARE comparison NO SCROLL CURSOR FOR ${select}`);
    for (;;) {
      const text = `FETCH ${chunkRows} FROM comparison`;
      const chunk = await client.query<(string | null)[]>({ text, rowMode: "array" });
      for (const [keyValue, ...values] of chunk.rows) yield { key: keyValue ?? "", values };
      if (chunk.rows.length < chunkRows) return;
    }
  } finally {
    await client.query("ROLLBACK");
  }
}

function describe(table: Table, left: Row | undefined, right: Row | undefined): string | undefined {
  if (left === undefined) return right && `${shorten(right.key)}: only in the read database`;
  if (right === undefined) return `${shorten(left.key)}: missing in the read database`;
  const different = table.columns.flatMap((column, index) => {
    const [a, b] = [left.values[index] ?? null, right.values[index] ?? null];
    return a === b ? [] : [`${column} is ${shorten(a)} at the primary, ${shorten(b)} in the read database`];
  });
  return different.length === 0 ? undefined : `${shorten(left.key)}: ${different.join("; ")}`;
}

function shorten(value: string | null): string {
  if (value === null) return "NULL";
  return value.length <= 80 ? value : `${value.slice(0, 60)}… (${value.length} characters)`;
}
