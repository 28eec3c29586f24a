/** Stream entries as Debezium writes them: field names and values alternate. */

export interface EntryContents {
  readonly op: "c" | "u" | "d" | "r";
  readonly table: string;
  /** Undefined for a table without a key. */
  readonly key?: Readonly<Record<string, unknown>>;
  /** The row; undefined for deletes. */
  readonly after?: Readonly<Record<string, unknown>>;
  readonly position: number;
}

export function entryFields({ op, table, key, after, position }: EntryContents): string[] {
  const source = { schema: "public", table, lsn: position, ts_ms: 1_700_000_000_000 };
  const value = { before: op === "d" ? key : null, after: after ?? null, source, op };
  return ["key", key === undefined ? "default" : JSON.stringify(key), "value", JSON.stringify(value)];
}

/** Two changes for each number: a line of the table `history`, which has no key, and the newest state of one of few rows. */
export function numberedEntries(shard: string, number: number): string[][] {
  const id = number % itemsPerShard;
  return [
    entryFields({ op: "c", table: "history", after: { shard, number }, position: number }),
    entryFields({
      op: "u",
      table: "item",
      key: { shard, id },
      after: { shard, id, number },
      position: number,
    }),
  ];
}

export const itemsPerShard = 7;

/**
 * The tables of `numberedEntries`. `history` is an append-only copy: a change that is applied twice stands there twice, and
 * `place` keeps the order of application.
 */
export const numberedTables = `
  CREATE TABLE history (
    shard text, number int, place bigint GENERATED ALWAYS AS IDENTITY, _sluice_lsn bigint
  );
  CREATE TABLE item (shard text, id int, number int, _sluice_lsn bigint, PRIMARY KEY (shard, id))`;
