import type { DatabaseAdmin } from "./database-admin.ts";
import type { Primary, Tally } from "./primary.ts";
import { keyedTables } from "./tables.ts";

type Row = Readonly<Record<string, unknown>>;

/** How the read database's tables differ from what the changes make of them; a line for each table that does. */
export async function compareTables(database: DatabaseAdmin, primary: Primary): Promise<string[]> {
  const problems: string[] = [];
  for (const table of Object.keys(keyedTables) as (keyof typeof keyedTables)[]) {
    const rows = await database.query<Row>(`SELECT * FROM public.${table}`);
    problems.push(...compareRows(table, rows, primary.rows[table]));
  }
  const counts = await database.query<{ number: number; count: number }>(
    "SELECT number, count(*)::int AS count FROM public.event_log GROUP BY number",
  );
  return [...problems, ...compareCounts(counts, primary.eventLog)];
}

function compareRows(
  table: keyof typeof keyedTables,
  rows: readonly Row[],
  expected: ReadonlyMap<string, Row>,
): string[] {
  const left = new Map(expected);
  const differences: string[] = [];
  for (const row of rows) {
    const key = JSON.stringify(Object.fromEntries(keyedTables[table].map((column) => [column, row[column]])));
    const wanted = left.get(key);
    left.delete(key);
    if (wanted === undefined) differences.push(`${key} should not be there`);
    else {
      const columns = Object.keys(wanted).filter((column) => wanted[column] !== row[column]);
      if (columns.length > 0) differences.push(`${key} differs in ${columns.join(", ")}`);
    }
  }
  differences.push(...[...left.keys()].map((key) => `${key} is missing`));
  if (differences.length === 0) return [];
  return [
    `${table}: ${differences.length} of ${expected.size} rows differ: ${differences.slice(0, 3).join("; ")}`,
  ];
}

/** Each entry once, however often it is there: as many rows as Redis took entries, as far as the writer knows. */
function compareCounts(
  rows: readonly { readonly number: number; readonly count: number }[],
  expected: readonly Tally[],
): string[] {
  const counts = new Map(rows.map(({ number, count }) => [number, count]));
  const wrong = expected.flatMap(({ sure, unsure }, number) => {
    const count = counts.get(number) ?? 0;
    if (count >= sure && count <= sure + unsure) return [];
    return [
      `number ${number} is there ${count} times instead of ${sure}${unsure > 0 ? ` to ${sure + unsure}` : ""}`,
    ];
  });
  if (wrong.length === 0) return [];
  return [`event_log: ${wrong.length} of ${expected.length} entries: ${wrong.slice(0, 3).join("; ")}`];
}
