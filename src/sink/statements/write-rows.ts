import { positionColumn, type ReadColumn } from "../../catalog/read-table.ts";
import type { ShapePlan } from "../../catalog/shape-plan.ts";
import { quoteName, quoteTable, quoteText } from "../sql.ts";
import { keyValues, rowsFrom, rowsFromArrays, valueOf } from "./rows.ts";

const position = quoteName(positionColumn);

/** The rule that an older position never overwrites a newer one (I4). */
function guard(written: string): string {
  return `(t.${position} IS NULL OR t.${position} <= ${written})`;
}

/**
 * Older than the table's last TRUNCATE. It is looked up in the statement that writes: the table's lock, which a TRUNCATE of
 * another shard holds, is taken before the statement's snapshot.
 */
function notTruncated(tableParameter: number): string {
  return `r.p >= coalesce((SELECT s.position FROM sluice.truncation s WHERE s.table_name = $${tableParameter}), r.p)`;
}

function columnsOf(plan: ShapePlan): string {
  return [...plan.columns.map((column) => quoteName(column.name)), position].join(", ");
}

function onConflict(plan: ShapePlan): string {
  // The key too: equal keys may be written differently, as 1.0 and 1.00. Identities, which are integers, may not.
  const assignments = plan.columns
    .filter(({ identityAlways }) => !identityAlways)
    .map(({ name }) => `${quoteName(name)} = EXCLUDED.${quoteName(name)}`);
  return (
    `ON CONFLICT (${plan.table.key.map(quoteName).join(", ")}) DO UPDATE` +
    ` SET ${[...assignments, `${position} = EXCLUDED.${position}`].join(", ")} WHERE ${guard(`EXCLUDED.${position}`)}`
  );
}

/**
 * For positions above every tombstone of the table; writes none of the others. It looks by itself, in a snapshot that was taken
 * after the transaction had its id: a delete of another shard that this does not see waits for this to end before it is looked at
 * again. $1 images, $2 positions, $3 table.
 */
export function upsertSql(plan: ShapePlan): string {
  const newestDelete =
    "(SELECT coalesce(max(s.position), -1) FROM sluice.tombstone s WHERE s.table_name || '' = $3)";
  return `${insertSql(plan, rowsFrom(plan, aboveExtras))} WHERE ${notTruncated(3)} AND r.p > ${newestDelete} ${onConflict(plan)}`;
}

const aboveExtras = [["p", "bigint"]] as const;

/** The same, but writes all: that they are above is asserted behind it. $1 images, $2 positions, $3 table. */
export function upsertAboveSql(plan: ShapePlan): string {
  return `${insertSql(plan, rowsFrom(plan, aboveExtras))} WHERE ${notTruncated(3)} ${onConflict(plan)}`;
}

/** The same from arrays: columns, positions, table. */
export function upsertAboveArraysSql(plan: ShapePlan): string {
  const rows = rowsFromArrays(plan, aboveExtras);
  return `${insertSql(plan, rows)} WHERE ${notTruncated(plan.columns.length + 2)} ${onConflict(plan)}`;
}

const undeletedExtras = [
  ["p", "bigint"],
  ["k", "text"],
] as const;

/**
 * The same, leaving out older inserts of deleted keys, each looked up by itself: as a join this was planned over all tombstones of
 * the table, and took fifty times as long. $1 images, $2 positions, $3 keys, $4 table.
 */
export function upsertUndeletedSql(plan: ShapePlan): string {
  return notDeleted(plan, rowsFrom(plan, undeletedExtras), 4);
}

/** The same from arrays: columns, positions, keys, table. */
export function upsertUndeletedArraysSql(plan: ShapePlan): string {
  return notDeleted(plan, rowsFromArrays(plan, undeletedExtras), plan.columns.length + 3);
}

function notDeleted(plan: ShapePlan, rows: string, table: number): string {
  return (
    `${insertSql(plan, rows)} WHERE ${notTruncated(table)} AND r.p >= coalesce(${tombstoneOf(`$${table}`, "r.k")}, r.p)` +
    ` ${onConflict(plan)}`
  );
}

/** The position of a key's tombstone, or NULL. */
function tombstoneOf(table: string, key: string): string {
  return `(SELECT o.position FROM sluice.tombstone o WHERE o.table_name = ${table} AND o.key = ${key})`;
}

function insertSql(plan: ShapePlan, rows: string): string {
  const values = plan.columns.map((_, index) => valueOf(plan, index)).join(", ");
  return (
    `INSERT INTO ${quoteTable(plan.table.name)} AS t (${columnsOf(plan)}) OVERRIDING SYSTEM VALUE` +
    ` SELECT ${values}, r.p FROM ${rows}`
  );
}

/** An append-only copy has no key and thus no guard. $1 images, $2 positions, $3 table. */
export function appendSql(plan: ShapePlan): string {
  return `${insertSql(plan, rowsFrom(plan, [["p", "bigint"]]))} WHERE ${notTruncated(3)}`;
}

/**
 * New rows, whose keys nobody has: looks for no conflict and builds nothing for a row, and takes a third of `upsertSql`'s time. That
 * the rows are above every tombstone and truncation is asserted behind it.
 */
export function copySql(plan: ShapePlan, format: CopyFormat): string {
  return `COPY ${quoteTable(plan.table.name)} (${columnsOf(plan)}) FROM STDIN (FORMAT ${format})`;
}

export type CopyFormat = "binary" | "text";

const partialExtras = [
  ["p", "bigint"],
  ["k", "text"],
  ["m", "text"],
] as const;

/** The value of a column, or what is `kept` of it where the row's mask has a 1. */
function valueOrKept(plan: ShapePlan, index: number, kept: (column: ReadColumn) => string): string {
  const column = plan.columns[index];
  if (column === undefined || column.placeholders.length === 0) return valueOf(plan, index);
  return `CASE WHEN substr(r.m, ${index + 1}, 1) = '1' THEN ${kept(column)} ELSE ${valueOf(plan, index)} END`;
}

/** Updates that leave out unchanged large values (I7). $1 images, $2 positions, $3 keys, $4 masks, $5 table. */
export function partialSql(plan: ShapePlan): string {
  const assignments = plan.columns.map((column, index) =>
    plan.table.key.includes(column.name) || column.identityAlways
      ? []
      : [`${quoteName(column.name)} = ${valueOrKept(plan, index, (kept) => `t.${quoteName(kept.name)}`)}`],
  );
  return (
    `UPDATE ${quoteTable(plan.table.name)} AS t SET ${[...assignments.flat(), `${position} = r.p`].join(", ")}` +
    ` FROM ${rowsFrom(plan, partialExtras)} WHERE ${sameKey(plan)} AND ${guard("r.p")}` +
    // A row that waits to be removed must not move out of the way.
    ` AND ${notTruncated(5)}`
  );
}

/** Which of the same rows are in fact unknown: neither there nor deleted or truncated since. Gives their keys. */
export function unknownRowsSql(plan: ShapePlan, after: "written" | "unwritten" = "unwritten"): string {
  // A row that came in behind the update is older than it: the update has to be done again.
  const done = after === "written" ? ` AND t.${position} >= r.p` : "";
  return (
    `SELECT r.k AS key FROM ${rowsFrom(plan, partialExtras)}` +
    ` WHERE NOT EXISTS (SELECT FROM ${quoteTable(plan.table.name)} AS t WHERE ${sameKey(plan)}${done})` +
    ` AND NOT EXISTS (SELECT FROM sluice.tombstone s WHERE s.table_name = $5 AND s.key = r.k AND s.position >= r.p)` +
    ` AND ${notTruncated(5)}`
  );
}

const movedExtras = [...partialExtras, ["o", "text"], ["l", "bigint"]] as const;

/**
 * What the delete of the old key saved for just this insert. Their positions may differ: one shard may have seen a newer part of a
 * snapshot than the other.
 */
const savedForIt = "s.table_name = $7 AND s.key = r.o AND s.logged = r.l";

/** Insert halves of key changes; the old key's delete saved the row. $4 masks, $5 old keys, $6 places in the log, $7 table. */
export function movedSql(plan: ShapePlan): string {
  const saved = (column: ReadColumn): string => `(s.image ->> ${quoteText(column.name)})::${column.type.sql}`;
  const values = plan.columns.map((_, index) => valueOrKept(plan, index, saved)).join(", ");
  return (
    `INSERT INTO ${quoteTable(plan.table.name)} AS t (${columnsOf(plan)}) OVERRIDING SYSTEM VALUE` +
    ` SELECT ${values}, r.p FROM ${rowsFrom(plan, movedExtras)}` +
    ` JOIN sluice.saved_image s ON ${savedForIt} AND s.image IS NOT NULL` +
    ` WHERE ${notTruncated(7)} AND r.p >= coalesce(${tombstoneOf("$7", "r.k")}, r.p)` +
    ` ${onConflict(plan)}`
  );
}

/**
 * Which of the same rows wait for their old key's delete: `waits`, or can never be known, since there was no row or what was saved is
 * pruned. Gives their keys.
 */
export function waitingRowsSql(plan: ShapePlan): string {
  return (
    `SELECT r.k AS key, s.key IS NULL AND coalesce(${tombstoneOf("$7", "r.o")} <= r.p, true) AS waits` +
    ` FROM ${rowsFrom(plan, movedExtras)} LEFT JOIN sluice.saved_image s ON ${savedForIt}` +
    ` WHERE s.image IS NULL AND ${notTruncated(7)}` +
    ` AND NOT EXISTS (SELECT FROM ${quoteTable(plan.table.name)} AS t WHERE ${sameKey(plan)} AND t.${position} >= r.p)` +
    ` AND NOT EXISTS (SELECT FROM sluice.tombstone n WHERE n.table_name = $7 AND n.key = r.k AND n.position > r.p)`
  );
}

function sameKey(plan: ShapePlan): string {
  return keyValues(plan)
    .map(({ column, value }) => `t.${column} = ${value}`)
    .join(" AND ");
}

/** An object of the row's values that may be large, each as PostgreSQL's own text: it reads back exactly, whatever the type. */
function largeValues(plan: ShapePlan): string {
  const columns = [...plan.table.columns.values()].filter((column) => column.placeholders.length > 0);
  const names = columns.map((column) => quoteText(column.name));
  const values = columns.map((column) => `t.${quoteName(column.name)}::text`);
  return `json_object(ARRAY[${names.join(", ")}]::text[], ARRAY[${values.join(", ")}]::text[])`;
}

/**
 * Deletes, guarded alike, each leaving a tombstone. $1 keys as objects, $2 positions, $3 keys as text, $4 table. Gives the number of
 * rows that went.
 */
export function deleteSql(plan: ShapePlan): string {
  const extras = [
    ["p", "bigint"],
    ["k", "text"],
  ] as const;
  const gone = goneSql(plan, { guard: guard("d.p"), returning: "d.k" });
  return `WITH ${keysSql(plan, extras)}, ${gone}, ${stoneSql("$4")} SELECT count(*)::int AS gone FROM gone`;
}

/**
 * The same of delete halves of key changes, which save the row's large values for the insert. What was saved stays when the change
 * comes again: the row has gone by then. $4 places in the log, $5 table.
 */
export function moveAwaySql(plan: ShapePlan): string {
  const extras = [
    ["p", "bigint"],
    ["k", "text"],
    ["l", "bigint"],
  ] as const;
  const gone = goneSql(plan, {
    guard: guardOfMoved(keyValues(plan)),
    returning: `d.k, ${largeValues(plan)} AS image`,
  });
  const saved =
    `saved AS (INSERT INTO sluice.saved_image AS s (table_name, key, logged, image)` +
    ` SELECT $5, d.k, d.l, gone.image FROM d LEFT JOIN gone ON gone.k = d.k ORDER BY d.k` +
    ` ON CONFLICT (table_name, key, logged) DO UPDATE SET image = coalesce(s.image, EXCLUDED.image), saved_at = now())`;
  return `WITH ${keysSql(plan, extras)}, ${gone}, ${stoneSql("$5")}, ${saved} SELECT count(*)::int AS gone FROM gone`;
}

function keysSql(plan: ShapePlan, extras: Parameters<typeof rowsFrom>[1]): string {
  const keys = keyValues(plan).map(({ value }, index) => `${value} AS k${index}`);
  const carried = extras.map(([alias]) => `r.${alias}`);
  return `d AS MATERIALIZED (SELECT ${[...keys, ...carried].join(", ")} FROM ${rowsFrom(plan, extras)})`;
}

function goneSql(
  plan: ShapePlan,
  { guard, returning }: Readonly<Record<"guard" | "returning", string>>,
): string {
  const same = keyValues(plan).map(({ column }, index) => `t.${column} = d.k${index}`);
  return (
    `gone AS (DELETE FROM ${quoteTable(plan.table.name)} AS t USING d` +
    ` WHERE ${same.join(" AND ")} AND ${guard} RETURNING ${returning})`
  );
}

function stoneSql(table: string): string {
  return (
    `stone AS (INSERT INTO sluice.tombstone AS s (table_name, key, position, missed)` +
    ` SELECT ${table}, d.k, d.p, CASE WHEN gone.k IS NULL THEN '0'::xid8 END` +
    ` FROM d LEFT JOIN gone ON gone.k = d.k ORDER BY d.k` +
    ` ON CONFLICT (table_name, key) DO UPDATE SET position = EXCLUDED.position, deleted_at = now(),` +
    ` missed = EXCLUDED.missed WHERE s.position < EXCLUDED.position)`
  );
}

/** Deletes that were done before, for rows that came in unseen beside them. $1 keys as objects, $2 positions. */
export function deleteAgainSql(plan: ShapePlan): string {
  return (
    `DELETE FROM ${quoteTable(plan.table.name)} AS t USING ${rowsFrom(plan, [["p", "bigint"]])}` +
    ` WHERE ${sameKey(plan)} AND t.${position} < r.p`
  );
}

/**
 * A row of the same position under the new key's spelling is the other half of a change between keys that are equal, as bob and
 * Bob may be: it stays.
 */
function guardOfMoved(keys: ReturnType<typeof keyValues>): string {
  const own = keys.map(({ column }, index) => `t.${column}::text = d.k${index}::text`).join(" AND ");
  return `${guard("d.p")} AND (t.${position} IS DISTINCT FROM d.p OR (${own}))`;
}
