import type pg from "pg";
import { assertSql, isAssertion } from "./assertion.ts";

/** Newest tombstone of each table that may matter to this shard; inserts above it need not look. */
export interface TombstoneHorizon {
  of(client: pg.ClientBase, table: string): Promise<bigint>;
  /** What `of` would give if it need not ask. */
  known(table: string): bigint | undefined;
  refresh(client: pg.ClientBase, table: string): Promise<bigint>;
  /** Fails, and the transaction with it, unless all of the table's tombstones are below. Throws HorizonMoved. */
  require(client: pg.ClientBase, table: string, below: bigint): Promise<void>;
  /** Likewise, and unless the table's last TRUNCATE is not above `oldest` either. */
  requireNew(client: pg.ClientBase, table: string, oldest: bigint): Promise<void>;
  raise(table: string, position: bigint): void;
}

/** A tombstone came that the batch must look at. */
export class HorizonMoved extends Error {}

/**
 * Looked up once for each table; this shard's own later deletes raise it. It is a hint: what is above it is checked again by the
 * statement that writes, and `refresh` follows when that finds the hint too low.
 */
export class DatabaseHorizon implements TombstoneHorizon {
  private readonly newest = new Map<string, bigint>();

  async of(client: pg.ClientBase, table: string): Promise<bigint> {
    return this.newest.get(table) ?? (await this.refresh(client, table));
  }

  known(table: string): bigint | undefined {
    return this.newest.get(table);
  }

  async require(client: pg.ClientBase, table: string, below: bigint): Promise<void> {
    const condition =
      "coalesce((SELECT max(position) FROM sluice.tombstone WHERE table_name || '' = $1), -1) < $2::bigint";
    await this.assert(client, "sluice_horizon", condition, [table, below.toString()]);
  }

  private async assert(
    client: pg.ClientBase,
    name: string,
    condition: string,
    values: string[],
  ): Promise<void> {
    await client.query({ name, text: assertSql(condition), values }).catch((error: unknown) => {
      throw isAssertion(error) ? new HorizonMoved() : error;
    });
  }

  async requireNew(client: pg.ClientBase, table: string, oldest: bigint): Promise<void> {
    const condition =
      "coalesce((SELECT max(position) FROM sluice.tombstone WHERE table_name || '' = $1), -1) < $2::bigint" +
      " AND coalesce((SELECT position FROM sluice.truncation WHERE table_name = $1), -1) <= $2::bigint";
    await this.assert(client, "sluice_new", condition, [table, oldest.toString()]);
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
