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
  const arrays = source?.replicaIdentityFull === false ? source.arraysWithoutPlaceholder : [];
  if (arrays.length > 0) {
    warn(
      `unchanged large values of ${arrays.join(", ")} arrive as NULL and cannot be told from it`,
      `On the primary: ALTER TABLE ${table.id} REPLICA IDENTITY FULL.`,
    );
  }
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
  const same = source === undefined || sameNames(table.key, source.key);
  if (!same) {
    const [here, there] = [table.key, source.key].map((key) => (key.length === 0 ? "none" : key.join(", ")));
    fail(
      `primary key here: ${here}; on the primary: ${there}`,
      "Give it the primary key that the primary's has.",
    );
  } else if (table.key.length === 0) {
    warn("no primary key: only inserts can be applied", "Give it a primary key on both sides.");
  }
}

function sameNames(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((name) => right.includes(name));
}
