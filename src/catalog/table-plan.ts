import { quoteName } from "../sink/sql.ts";
import { positionColumn } from "./read-table.ts";
import type { Catalog, CatalogColumn, CatalogTable } from "./source-catalog.ts";
import type { TableFilter } from "./table-filter.ts";
import {
  attributeSql,
  emptyTypePlan,
  literal,
  needProblems,
  planTypes,
  type Problem,
  type Step,
  type TypePlan,
} from "./type-plan.ts";

export interface TablePlan {
  /** In the order in which they can run; each stands alone and may be followed by a new plan. */
  readonly steps: readonly Step[];
  readonly problems: readonly Problem[];
  /** Tables that are not made, or not made whole, because of problems; as SQL writes them. */
  readonly leftOut: readonly string[];
}

/**
 * Adds the guard's column to the read database's own tables: to those that the primary has too, where the primary is known, since no
 * changes come for any other.
 */
export function planPreparation(
  target: Catalog,
  filter: TableFilter,
  source: Catalog | undefined,
): TablePlan {
  const sent = source && new Set(wantedTables(source, filter).map(tableSql));
  const tables = target.tables.filter(
    (table) => filter(table.schema, table.name) && sent?.has(tableSql(table)) !== false,
  );
  return { steps: tables.flatMap(addPosition), problems: [], leftOut: [] };
}

/**
 * What the read database lacks to hold the primary's tables. Nothing is dropped and no existing column changes. Left out on
 * purpose: foreign keys, secondary unique constraints and triggers, which cannot hold while shards are applied independently;
 * defaults and identity, since rows arrive complete; only what the primary's rows have that are older than a column is its default
 * here, since nothing is published when the column is added. A plan made after its steps ran is empty. `unavailable`: extensions
 * that the read database cannot get now; only the tables that need them are left out.
 */
export function planTables(
  source: Catalog,
  target: Catalog,
  filter: TableFilter,
  unavailable: ReadonlySet<string> = new Set(),
): TablePlan {
  const wanted = wantedTables(source, filter);
  const types = wanted.length === 0 ? emptyTypePlan : planTypes(source, target, wanted, unavailable);
  const existing = new Map(target.tables.map((table) => [tableSql(table), table]));
  const problems = [...types.problems];
  const steps: Step[] = [];
  const leftOut: string[] = [];
  for (const table of wanted) {
    const found = existing.get(tableSql(table));
    const missing = columnsOf(table).filter(
      (column) => !found?.columns.some(({ name }) => name === column.name),
    );
    const own = missing.flatMap((column) => columnProblems(types, target, table, column));
    problems.push(...own);
    // A type that cannot be made is reported once, at the type.
    if (own.length > 0 || missing.some((column) => types.isBlocked(column))) leftOut.push(tableSql(table));
    else if (found === undefined) steps.push(createTable(types, table));
    else steps.push(...addColumns(types, table, missing), ...addPosition(found));
  }
  return { steps: [...createSchemas(types, wanted, target), ...types.steps, ...steps], problems, leftOut };
}

/** Unlogged tables never reach the log. */
function wantedTables(source: Catalog, filter: TableFilter): readonly CatalogTable[] {
  return source.tables.filter((table) => table.logged && filter(table.schema, table.name));
}

/** The position is the sink's own, even where the primary is itself a read database. */
function columnsOf(table: CatalogTable): readonly CatalogColumn[] {
  return table.columns.filter((column) => column.name !== positionColumn);
}

function createSchemas(types: TypePlan, tables: readonly CatalogTable[], target: Catalog): Step[] {
  const names = new Set([...types.schemas, ...tables.map((table) => table.schema)]);
  return [...names]
    .filter((name) => !target.schemas.includes(name))
    .map((name) => {
      const object = quoteName(name);
      return { kind: "create schema", object, sql: `CREATE SCHEMA IF NOT EXISTS ${object}` };
    });
}

function createTable(types: TypePlan, table: CatalogTable): Step {
  const object = tableSql(table);
  const lines = columnsOf(table).map((column) => columnSql(types, column, column.notNull));
  lines.push(`${quoteName(positionColumn)} bigint`);
  if (table.key.length > 0) lines.push(`PRIMARY KEY (${table.key.map(quoteName).join(", ")})`);
  return { kind: "create table", object, sql: `CREATE TABLE ${object} (\n  ${lines.join(",\n  ")}\n)` };
}

/** Generated columns come last: they may be computed from the others. */
function addColumns(types: TypePlan, table: CatalogTable, missing: readonly CatalogColumn[]): Step[] {
  const plain = missing.filter((column) => column.generated === null);
  const generated = missing.filter((column) => column.generated !== null);
  return [...plain, ...generated].map((column) => {
    // Rows that are there, and changes in the streams from before the primary had the column, lack its value; even an empty
    // table may get such rows yet. A generated column is computed at once.
    const notNull = column.notNull && column.generated !== null;
    return {
      kind: "add column",
      object: `${tableSql(table)}.${quoteName(column.name)}`,
      sql: `ALTER TABLE ${tableSql(table)} ADD COLUMN IF NOT EXISTS ${columnSql(types, column, notNull)}`,
    };
  });
}

function addPosition(table: CatalogTable): Step[] {
  if (table.columns.some((column) => column.name === positionColumn)) return [];
  const column = quoteName(positionColumn);
  const object = tableSql(table);
  // A table that inherits gets the column with its parent, hence IF NOT EXISTS.
  const sql = `ALTER TABLE ${object} ADD COLUMN IF NOT EXISTS ${column} bigint`;
  return [{ kind: "add column", object: `${object}.${column}`, sql }];
}

function columnSql(types: TypePlan, column: CatalogColumn, notNull: boolean): string {
  const generated = column.generated === null ? "" : ` GENERATED ALWAYS AS (${column.generated}) STORED`;
  const before = column.before === null ? "" : ` DEFAULT ${literal(column.before)}`;
  return `${attributeSql(types.typeSql, column)}${before}${generated}${notNull ? " NOT NULL" : ""}`;
}

function columnProblems(
  types: TypePlan,
  target: Catalog,
  table: CatalogTable,
  column: CatalogColumn,
): Problem[] {
  return needProblems(`${tableSql(table)}.${quoteName(column.name)}`, column.needs, types.extensions, target);
}

function tableSql(table: CatalogTable): string {
  return `${quoteName(table.schema)}.${quoteName(table.name)}`;
}
