/** A change as the primary made it. */
export interface PrimaryChange {
  readonly op: "c" | "u" | "d";
  readonly table: string;
  /** As Debezium writes it, a JSON object's text; undefined for a table without a key. */
  readonly key: string | undefined;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly lsn: number;
  /** Where the log stood after the transaction before. */
  readonly commitLsn: number;
  readonly committedAtMs: number;
  readonly newKey?: string;
  readonly oldKey?: string;
}

/** The entry's fields as Debezium Server writes them without schemas, names and values in turn. */
export function debeziumFields(change: PrimaryChange): string[] {
  const { op, table, key, after, lsn, committedAtMs } = change;
  const source = {
    version: "3.6.1.Final",
    connector: "postgresql",
    name: "app",
    ts_ms: committedAtMs,
    snapshot: "false",
    db: "app",
    sequence: `["${change.commitLsn}","${lsn}"]`,
    ts_us: committedAtMs * 1000,
    ts_ns: committedAtMs * 1_000_000,
    schema: "public",
    table,
    txId: change.commitLsn,
    lsn,
    xmin: null,
  };
  const before = op === "d" && key !== undefined ? (JSON.parse(key) as unknown) : null;
  const value = { before, after, source, transaction: null, op, ts_ms: committedAtMs };
  const headers = [
    ...(change.newKey === undefined ? [] : ["__DEBEZIUM.NEWKEY", change.newKey]),
    ...(change.oldKey === undefined ? [] : ["__DEBEZIUM.OLDKEY", change.oldKey]),
  ];
  return ["key", key ?? "default", "value", JSON.stringify(value), ...headers];
}

/** Debezium's word for a large value that did not change. */
export const unchanged = "__debezium_unavailable_value";
