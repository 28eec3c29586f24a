/** A table as Debezium's source block names it; one object per table, so it can be compared by identity. */
export interface TableName {
  readonly schema: string;
  readonly table: string;
  /** schema.table */
  readonly id: string;
}

export type Operation = "c" | "u" | "r" | "d" | "t";

/** One decoded insert, update, delete, truncate or snapshot read. */
export interface Change {
  readonly op: Operation;
  readonly table: TableName;
  /** Index of its entry in the chunk that was read. */
  readonly entryIndex: number;
  /** The key as Debezium wrote it, a JSON object's text; undefined for tables without a key and for truncates. */
  readonly key: string | undefined;
  /** `after` as Debezium wrote it, a JSON object's bytes in UTF-8; undefined for deletes and truncates. */
  readonly image: Buffer | undefined;
  /** Fingerprint of the names of the image's columns, for deletes of the key's. */
  readonly shape: number;
  /** Fingerprint of the names of the key's columns; 0 without a key. */
  readonly keyShape: number;
  /** Where the change sits in the primary's log, above the shard's base and above snapshots that it is newer than. */
  readonly position: bigint;
  /** Where it was logged itself, whatever the base: the two halves of a key change share that, and no other change of their keys does. */
  readonly logged: bigint;
  /** How far the primary had committed before, above the shard's base; among one primary's commits it never falls. */
  readonly commitLsn: number;
  /** Commit time at the primary in milliseconds, or 0. */
  readonly committedAtMs: number;
  /** On the delete half of a key change: the new key, a JSON object's text. */
  readonly newKey: string | undefined;
  /** On the insert half of a key change: the old key, a JSON object's text. */
  readonly oldKey: string | undefined;
}

/** schema.table, each in quotes where it has a dot or a quote itself: no two tables have one id. */
export function tableId(schema: string, table: string): string {
  return `${idPart(schema)}.${idPart(table)}`;
}

/** The inverse of `tableId`. */
export function parseTableId(id: string): TableName {
  const [schema = "", table = ""] = [...id.matchAll(/"((?:[^"]|"")*)"|([^".]+)/g)].map(
    ([, quoted, plain]) => plain ?? quoted?.replaceAll('""', '"') ?? "",
  );
  return { schema, table, id };
}

function idPart(name: string): string {
  return /[."]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}
