import type pg from "pg";
import { assertSql, isAssertion } from "./assertion.ts";
import type { Step } from "./step-sequence.ts";

/** Newest tombstone of each table; what is above it need not look for one. */
export interface TombstoneHorizon {
  of(client: pg.ClientBase, table: string): Promise<bigint>;
  refresh(client: pg.ClientBase, table: string): Promise<bigint>;
  raise(table: string, position: bigint): void;
}

/** A tombstone came that the batch must look at. */
export class HorizonMoved extends Error {}

/** What must hold of rows that were written without looking for tombstones. */
export interface AboveTombstones {
  readonly table: string;
  /** Of the rows. */
  readonly oldest: bigint;
  /** They have not looked at the table's last TRUNCATE either, and must not be older. */
  readonly isNew: boolean;
}

/**
 * Looked up once for each table and shared by all shards of a member, whose deletes raise it. It is a hint: what is above it is checked
 * again by the statements that write, and `clear` follows when they find the hint too low.
 */
export class DatabaseHorizon implements TombstoneHorizon {
  private readonly newest = new Map<string, bigint>();

  async of(client: pg.ClientBase, table: string): Promise<bigint> {
    return this.newest.get(table) ?? (await this.refresh(client, table));
  }

  /** What `of` would give if it need not ask. */
  known(table: string): bigint | undefined {
    return this.newest.get(table);
  }

  async refresh(client: pg.ClientBase, table: string): Promise<bigint> {
    const { rows } = await client.query<{ newest: string | null }>(
      "SELECT max(position)::text AS newest FROM sluice.tombstone WHERE table_name || '' = $1",
      [table],
    );
    const newest = BigInt(rows[0]?.newest ?? -1);
    this.newest.set(table, newest);
    return newest;
  }

  raise(table: string, position: bigint): void {
    const known = this.newest.get(table);
    if (known !== undefined && known < position) this.newest.set(table, position);
  }

  clear(): void {
    this.newest.clear();
  }
}

/** $1 an `AboveTombstones` for each table, as JSON. */
const aboveSql = assertSql(
  `NOT EXISTS (SELECT FROM json_to_recordset($1::json) AS w ("table" text, oldest bigint, "isNew" boolean)` +
    ` WHERE (SELECT max(s.position) FROM sluice.tombstone s WHERE s.table_name || '' = w."table") >= w.oldest` +
    ` OR w."isNew" AND (SELECT s.position FROM sluice.truncation s WHERE s.table_name = w."table") > w.oldest)`,
);

/** Fails, and the transaction with it, with HorizonMoved unless all that holds. */
export function requireAbove(tables: readonly AboveTombstones[]): Step {
  const values = tables.map(({ table, oldest, isNew }) => ({ table, oldest: oldest.toString(), isNew }));
  return {
    text: aboveSql,
    values: [JSON.stringify(values)],
    failed: (error) => (isAssertion(error) ? new HorizonMoved() : error),
  };
}
