import { withClient } from "./database.ts";
import { columnNames, type TableShape } from "./loads/table-shape.ts";

/** Throws when the databases' rows are not the same; sluice's own column does not count. */
export async function sameRows(urls: readonly string[], tables: readonly TableShape[]): Promise<void> {
  for (const table of tables) {
    const sums = await Promise.all(urls.map((url) => checksum(url, table)));
    if (new Set(sums).size > 1)
      throw new Error(
        `${table.name} differs: ${urls.map((url, index) => `${url} ${sums[index]}`).join(", ")}`,
      );
  }
}

function checksum(url: string, table: TableShape): Promise<string> {
  const sql = `SELECT count(*) || ' rows, ' || coalesce(sum(hashtextextended(ROW(${columnNames(table)})::text, 0)), 0) AS sum
    FROM public.${table.name}`;
  return withClient(url, async (client) => (await client.query<{ sum: string }>(sql)).rows[0]?.sum ?? "");
}
