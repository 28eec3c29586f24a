import type { TableFacts } from "../catalog/preflight.ts";

/** One line of `check`. */
export interface Finding {
  readonly level: "ok" | "warn" | "fail";
  /** What was looked at, and what was seen. */
  readonly what: string;
  readonly remedy?: string;
}

export interface TablesSeen {
  readonly read: readonly TableFacts[];
  /** The primary's; undefined when it was not asked. */
  readonly source: readonly TableFacts[] | undefined;
  /** The sink's role may set session_replication_role. */
  readonly maySkipTriggers: boolean;
}

/** What stands in the way of changes, table by table. Tables that only the read database has are none of sluice's. */
export function checkTables(seen: TablesSeen): readonly Finding[] {
  const sources = new Map(seen.source?.map((table) => [table.id, table]));
  const reads = new Map(seen.read.map((table) => [table.id, table]));
  const carried =
    seen.source === undefined
      ? seen.read.filter((table) => table.prepared)
      : seen.read.filter((table) => sources.has(table.id));
  const missing = (seen.source ?? []).filter((table) => !reads.has(table.id));
  if (carried.length === 0 && missing.length === 0) {
    const remedy = "Run `sluice migrate`, with --from-source to create them as they are on the primary.";
    return [{ level: "warn", what: "no table of the read database is prepared", remedy }];
  }
  return [
    ...missing.map(missingTable),
    ...carried.flatMap((table) => {
      const findings = checkTable(table, sources.get(table.id), seen.maySkipTriggers);
      return findings.length > 0 ? findings : [ok(`table ${table.id}`)];
    }),
  ];
}

export function ok(what: string): Finding {
  return { level: "ok", what };
}

function missingTable(table: TableFacts): Finding {
  const remedy = "Run `sluice migrate --from-source`, create it, or exclude it with SLUICE_TABLES.";
  return { level: "fail", what: `table ${table.id}: missing in the read database`, remedy };
}

function checkTable(
  table: TableFacts,
  source: TableFacts | undefined,
  maySkipTriggers: boolean,
): readonly Finding[] {
  const name = `table ${table.id}`;
  const findings: Finding[] = [];
  const fail = (what: string, remedy: string): void =>
    void findings.push({ level: "fail", what: `${name}: ${what}`, remedy });
  const warn = (what: string, remedy: string): void =>
    void findings.push({ level: "warn", what: `${name}: ${what}`, remedy });
  if (!table.prepared) fail("the column _sluice_lsn is missing", "Run `sluice migrate`.");
  if (!table.writable) {
    fail(
      "the role may not write it",
      "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE on it, or let the role own it.",
    );
  }
  checkKey(table, source, fail, warn);
  if (source !== undefined) checkSource(source, fail, warn);
  if (table.uniques.length > 0) {
    warn(
      `unique indexes besides the key may be violated for a moment: ${table.uniques.join(", ")}`,
      "Make them constraints DEFERRABLE INITIALLY DEFERRED, or plain indexes.",
    );
  }
  const active = maySkipTriggers ? [] : [...table.foreignKeys, ...table.triggers];
  if (active.length > 0) {
    const remedy =
      "Drop them here, or GRANT SET ON PARAMETER session_replication_role to the role (PostgreSQL 15).";
    warn(`foreign keys and triggers that cannot hold across shards: ${active.join(", ")}`, remedy);
  }
  return findings;
}

type Report = (what: string, remedy: string) => void;

function checkKey(table: TableFacts, source: TableFacts | undefined, fail: Report, warn: Report): void {
  if (source?.sentKey?.sound === false) return;
  const sent = source === undefined ? table.key : (source.sentKey?.columns ?? []);
  if (!sameNames(table.key, sent)) {
    const [here, there] = [table.key, sent].map((key) => (key.length === 0 ? "none" : key.join(", ")));
    fail(
      `primary key here: ${here}; changes come with the key: ${there}`,
      "Give both sides the same primary key. Without one, Debezium takes the primary's first unique index.",
    );
  } else if (table.key.length === 0) {
    warn("no primary key: only inserts can be applied", "Give it a primary key on both sides.");
  }
}

/** What the primary's table loses on the way. */
function checkSource(source: TableFacts, fail: Report, warn: Report): void {
  const { sentKey, unsent } = source;
  const lost = source.lostWhenUnchanged.filter((column) => !unsent.includes(column));
  if (sentKey?.sound === false) {
    fail(
      `changes come with the columns of ${sentKey.index} as key (${sentKey.columns.join(", ")}), which rows can share`,
      "Give it a primary key on both sides.",
    );
  }
  if (sentKey?.sound === true && !sentKey.logged) {
    fail(
      `changes come with the key ${sentKey.columns.join(", ")}, but REPLICA IDENTITY USING INDEX logs other columns: deletes hit wrong rows`,
      "On the primary: ALTER TABLE … REPLICA IDENTITY DEFAULT if it has a primary key, else FULL.",
    );
  }
  if (lost.length > 0 && !source.replicaIdentityFull) {
    warn(
      `unchanged large values of ${lost.join(", ")} arrive as NULL and cannot be told from it`,
      `On the primary: ALTER TABLE ${source.id} REPLICA IDENTITY FULL.`,
    );
  }
  if (unsent.length > 0) {
    warn(
      `Debezium cannot send the types of ${unsent.join(", ")}`,
      "Give them another type on the primary, or do without them here.",
    );
  }
  if (source.hasHeirs) {
    warn(
      "Debezium's snapshot copies the rows of tables that inherit from it into it as well",
      `Set Debezium's snapshot.select.statement.overrides to SELECT * FROM ONLY ${source.id}, or delete those rows here.`,
    );
  }
  if (source.partitions.length > 0) checkPartitions(source, warn);
}

function checkPartitions(source: TableFacts, warn: Report): void {
  for (const publication of source.publicationsByPartition) {
    warn(
      `the publication ${publication} names changes after its partitions`,
      `On the primary, if Debezium uses it: ALTER PUBLICATION ${publication} SET (publish_via_partition_root = true).`,
    );
  }
  const names = source.partitions.map((partition) => partition.id);
  warn(
    "Debezium's snapshot copies its partitions a second time, under their own names; dropping, detaching or emptying one leaves the rows here",
    `Start Debezium with EXCLUDED_TABLES=${names.join(",")} or sluice with SLUICE_TABLES=${names.map((name) => `!${name}`).join(",")}. ` +
      "Delete a partition's rows before it goes.",
  );
}

function sameNames(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((name) => right.includes(name));
}
