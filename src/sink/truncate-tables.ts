import type pg from "pg";
import type { Work } from "../batch/work.ts";
import type { ReadTable } from "../catalog/read-table.ts";
import {
  beQuickSql,
  deleteOlderOnPagesSql,
  deleteOlderSql,
  extentSql,
  hasNewerSql,
  lockSql,
  recordSql,
  truncateSql,
} from "./statements/truncate-table.ts";

interface Extent {
  /** The table, or its partitions. */
  readonly heaps: number;
  /** Of the largest. */
  readonly pages: number;
}

/** Pages of one statement; 8 MB, some ten thousand rows or more. */
const chunkPages = 1_000;

/**
 * Does what the TRUNCATEs among the works ask for, before the transaction that moves the checkpoint past them: a large table cannot be
 * emptied by one statement within its time limit.
 *
 * First the truncation is recorded, under a lock that waits for writers; from then on nothing older gets into the table. So what follows
 * may be done in any number of transactions, by anybody, and again after a crash: only rows older than a recorded truncation go. Other
 * shards may be past it, and their rows stay. Until the checkpoint moves, readers may see the table partly emptied.
 */
export async function truncateTables(pool: pg.Pool, works: readonly Work[]): Promise<void> {
  for (const work of works) {
    if (work.kind !== "truncate") continue;
    const client = await pool.connect();
    try {
      await truncateTable(client, work.plan.table, work.position.toString());
      client.release();
    } catch (error) {
      client.release(true);
      throw error;
    }
  }
}

async function truncateTable(client: pg.ClientBase, table: ReadTable, position: string): Promise<void> {
  await client.query("BEGIN");
  await client.query(lockSql(table));
  await client.query(recordSql, [position, table.name.id]);
  const { rows } = await client.query<Extent>(extentSql, [table.name.schema, table.name.table]);
  const { heaps, pages } = rows[0] ?? { heaps: 1, pages: 0 };
  const done = await emptyAtOnce(client, table, heaps * pages <= chunkPages, position);
  await client.query("COMMIT");
  if (!done) await deleteOlder(client, table, { heaps, pages }, position);
}

/**
 * Tries what is done in no time, under the lock: deleting the rows of a small table, or a TRUNCATE of a large one that holds nothing
 * newer. That also shows to readers whose snapshot is from before it, unlike a delete, as it does on the primary. It fails where
 * foreign keys lead to the table, somebody reads it for long or the role may not; false: the rows are still there.
 */
async function emptyAtOnce(
  client: pg.ClientBase,
  table: ReadTable,
  small: boolean,
  position: string,
): Promise<boolean> {
  await client.query("SAVEPOINT whole");
  try {
    await client.query(beQuickSql);
    if (small) {
      await client.query(deleteOlderSql(table), [position]);
      return true;
    }
    const { rows } = await client.query<{ found: boolean }>(hasNewerSql(table), [position]);
    if (rows[0]?.found !== false) return false;
    await client.query(truncateSql(table));
    return true;
  } catch (error) {
    // Of a connection that broke this fails too.
    await client.query("ROLLBACK TO whole").catch(() => {
      throw error;
    });
    return false;
  }
}

/** Some pages at a time, each statement a transaction; fewer where rows are costly to delete. */
async function deleteOlder(
  client: pg.ClientBase,
  table: ReadTable,
  { heaps, pages }: Extent,
  position: string,
): Promise<void> {
  const text = deleteOlderOnPagesSql(table);
  let size = Math.ceil(chunkPages / heaps);
  let page = 0;
  while (page < pages) {
    try {
      await client.query(text, [position, page, page + size]);
      page += size;
    } catch (error) {
      if (!isTimeLimit(error) || size === 1) throw error;
      size = Math.ceil(size / 4);
    }
  }
}

function isTimeLimit(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "57014";
}
