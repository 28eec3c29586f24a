import type { ColumnFacts, TableFacts } from "../catalog/preflight.ts";
import { fitOf, type Fit } from "../decode/types/type-fit.ts";
import { quoteName } from "../sink/sql.ts";

type Report = (what: string, remedy: string) => void;

interface Pair {
  readonly source: ColumnFacts;
  readonly read: ColumnFacts | undefined;
}

/** Whether the read database's columns can take what is sent of the primary's; those that are computed there take nothing. */
export function checkColumns(table: TableFacts, source: TableFacts, fail: Report, warn: Report): void {
  const reads = new Map(table.columns.map((column) => [column.name, column]));
  const pairs = source.columns
    .filter(({ name, generated }) => !generated && !source.unsent.includes(name))
    .map((column): Pair => ({ source: column, read: reads.get(column.name) }));
  const missing = pairs.filter(({ read }) => read === undefined).map((pair) => pair.source.name);
  if (missing.length > 0) {
    fail(`columns that only the primary has: ${missing.join(", ")}`, "Run `sluice migrate --from-source`.");
  }
  const refusing = withFit(pairs, "refuses");
  if (refusing.length > 0) {
    fail(`columns that cannot hold the primary's values: ${listed(refusing)}`, alterTable(table, refusing));
  }
  const others = withFit(pairs, "other");
  if (others.length > 0) {
    warn(
      `columns of another type than the primary's: ${listed(others)}`,
      `None if that is meant, see docs/reference/types.md; else: ${alterTable(table, others)}`,
    );
  }
}

function withFit(pairs: readonly Pair[], fit: Fit): readonly Pair[] {
  return pairs.filter(
    ({ source, read }) => read !== undefined && !read.generated && fitOf(source.type, read.type) === fit,
  );
}

function listed(pairs: readonly Pair[]): string {
  return pairs
    .map(({ source, read }) => `${source.name} ${read?.type.sql ?? ""} (there ${source.type.sql})`)
    .join(", ");
}

function alterTable(table: TableFacts, pairs: readonly Pair[]): string {
  const changes = pairs.map(({ source }) => `ALTER COLUMN ${nameOf(source)} TYPE ${source.type.sql}`);
  return `ALTER TABLE ${table.id} ${changes.join(", ")}.`;
}

function nameOf({ name }: ColumnFacts): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteName(name);
}
