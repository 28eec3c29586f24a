import { quoteName } from "../sink/sql.ts";
import type {
  Catalog,
  CatalogAttribute,
  CatalogColumn,
  CatalogTable,
  CatalogType,
  Need,
  TypeUse,
} from "./source-catalog.ts";

export interface Step {
  readonly kind:
    | "create schema"
    | "create extension"
    | "create type"
    | "alter type"
    | "create table"
    | "add column";
  /** What it makes, as SQL writes it. */
  readonly object: string;
  readonly sql: string;
  /** The extension that it makes. */
  readonly extension?: string;
}

/** Something that cannot be created until a person acts. */
export interface Problem {
  readonly object: string;
  readonly message: string;
  readonly remedy: string;
}

export interface TypePlan {
  readonly steps: readonly Step[];
  readonly problems: readonly Problem[];
  /** Schemas that the types and extensions live in. */
  readonly schemas: ReadonlySet<string>;
  /** Extension → its schema on the primary and in the read database. */
  readonly extensions: ReadonlyMap<string, { readonly from: string; readonly to: string }>;
  /** The column's type, or a type below it, or an extension that its expression needs, cannot be created now. */
  isBlocked(column: Pick<CatalogColumn, "type" | "needs">): boolean;
  /** The type as the read database writes it: an extension may live in another schema there. */
  typeSql(use: TypeUse): string;
}

export const emptyTypePlan: TypePlan = {
  steps: [],
  problems: [],
  schemas: new Set(),
  extensions: new Map(),
  isBlocked: () => false,
  typeSql: (use) => use.sql,
};

/**
 * The types, and the extensions behind them, that these tables use and the read database lacks. `unavailable`: extensions that
 * it cannot get now; what needs them is blocked.
 */
export function planTypes(
  source: Catalog,
  target: Catalog,
  tables: readonly CatalogTable[],
  unavailable: ReadonlySet<string>,
): TypePlan {
  const used = usedTypes(source, tables);
  const columns = tables.flatMap((table) => table.columns);
  const extensions = usedExtensions(source, target, [...used, ...columns]);
  const byId = new Map(source.types.map((type) => [type.id, type]));
  const typeSql = (use: TypeUse): string => {
    const moved = extensions.get(byId.get(use.id)?.extension ?? "");
    if (moved === undefined || !use.sql.startsWith(`${use.schemaSql}.`)) return use.sql;
    return `${quoteName(moved.to)}${use.sql.slice(use.schemaSql.length)}`;
  };
  const lacks = (needs: readonly Need[]): boolean =>
    needs.some((need) => need.extension !== null && unavailable.has(need.extension));
  const own = used.filter((type) => type.extension === null);
  const existing = new Map(target.types.map((type) => [typeName(type), type]));
  const steps = createExtensions(target, extensions, unavailable);
  const problems: Problem[] = [];
  const blocked = new Set(used.filter((type) => unavailable.has(type.extension ?? "")).map(({ id }) => id));
  for (const type of own) {
    const found = existing.get(typeName(type));
    const ownProblems = found === undefined ? typeProblems(type, extensions, target) : [];
    problems.push(...ownProblems);
    const builtOnBlocked = usesOf(type).some((use) => blocked.has(use.id)) || lacks(type.needs);
    if (ownProblems.length > 0 || (found === undefined && builtOnBlocked)) blocked.add(type.id);
    else
      steps.push(...(found === undefined ? [createType(type, typeSql)] : extendType(type, found, typeSql)));
  }
  const extensionSchemas = [...extensions.values()].map(({ to }) => to);
  const schemas = new Set([...extensionSchemas, ...own.map((type) => type.schema)]);
  const isBlocked: TypePlan["isBlocked"] = (column) => blocked.has(column.type.id) || lacks(column.needs);
  return { steps, problems, schemas, extensions, isBlocked, typeSql };
}

/** Every type below the tables' columns, each after the types that it is built on. */
function usedTypes(source: Catalog, tables: readonly CatalogTable[]): CatalogType[] {
  const byId = new Map(source.types.map((type) => [type.id, type]));
  const seen = new Set<string>();
  const ordered: CatalogType[] = [];
  const visit = (use: TypeUse): void => {
    const type = byId.get(use.id);
    if (type === undefined || seen.has(type.id)) return;
    seen.add(type.id);
    if (type.extension === null) usesOf(type).forEach(visit);
    ordered.push(type);
  };
  for (const table of tables) table.columns.forEach((column) => visit(column.type));
  return ordered;
}

function usesOf(type: CatalogType): readonly TypeUse[] {
  const below = type.attributes.map((attribute) => attribute.type);
  return type.base === null ? below : [type.base, ...below];
}

interface MayNeedExtension {
  readonly extension?: string | null;
  readonly needs: readonly Need[];
}

function usedExtensions(
  source: Catalog,
  target: Catalog,
  users: readonly MayNeedExtension[],
): TypePlan["extensions"] {
  const names = new Set(
    users.flatMap((user) => [user.extension, ...user.needs.map((need) => need.extension)]),
  );
  const used = source.extensions.filter(({ name }) => names.has(name));
  return new Map(
    used.map(({ name, schema }) => {
      const found = target.extensions.find((extension) => extension.name === name);
      return [name, { from: schema, to: found?.schema ?? schema }];
    }),
  );
}

function createExtensions(
  target: Catalog,
  extensions: TypePlan["extensions"],
  unavailable: ReadonlySet<string>,
): Step[] {
  return [...extensions]
    .filter(([name]) => !unavailable.has(name))
    .filter(([name]) => !target.extensions.some((extension) => extension.name === name))
    .map(([name, { to }]) => ({
      kind: "create extension",
      extension: name,
      object: quoteName(name),
      sql: `CREATE EXTENSION IF NOT EXISTS ${quoteName(name)} WITH SCHEMA ${quoteName(to)} CASCADE`,
    }));
}

function typeProblems(type: CatalogType, extensions: TypePlan["extensions"], target: Catalog): Problem[] {
  const object = typeName(type);
  if (type.kind !== "base") return needProblems(object, type.needs, extensions, target);
  const message = `${object} is a type of its own kind on the primary, and the read database does not have it`;
  return [
    { object, message, remedy: `Create ${object} there as on the primary, then run sluice migrate again.` },
  ];
}

function createType(type: CatalogType, typeSql: TypePlan["typeSql"]): Step {
  const object = typeName(type);
  const collation = type.collation === null ? "" : ` COLLATE ${type.collation}`;
  const base = type.base === null ? "" : typeSql(type.base);
  switch (type.kind) {
    case "enum":
      return {
        kind: "create type",
        object,
        sql: `CREATE TYPE ${object} AS ENUM (${type.labels.map(literal).join(", ")})`,
      };
    case "domain": {
      const checks = type.checks
        .map(({ name, sql }) => ` CONSTRAINT ${quoteName(name)} CHECK (${sql})`)
        .join("");
      const sql = `CREATE DOMAIN ${object} AS ${base}${collation}${type.notNull ? " NOT NULL" : ""}${checks}`;
      return { kind: "create type", object, sql };
    }
    case "composite": {
      const attributes = type.attributes.map((attribute) => attributeSql(typeSql, attribute)).join(", ");
      return { kind: "create type", object, sql: `CREATE TYPE ${object} AS (${attributes})` };
    }
    case "range": {
      const settings = [
        `SUBTYPE = ${base}`,
        ...(type.collation === null ? [] : [`COLLATION = ${type.collation}`]),
        ...(type.multirange === null ? [] : [`MULTIRANGE_TYPE_NAME = ${type.multirange}`]),
      ];
      return { kind: "create type", object, sql: `CREATE TYPE ${object} AS RANGE (${settings.join(", ")})` };
    }
    case "base":
      throw new TypeError(`${object} is reported as a problem, never created`);
    default:
      throw new TypeError(`unknown kind of type: ${String(type.kind satisfies never)}`);
  }
}

function extendType(type: CatalogType, found: CatalogType, typeSql: TypePlan["typeSql"]): Step[] {
  if (type.kind === "enum") return addLabels(type, found);
  if (type.kind !== "composite") return [];
  const object = typeName(type);
  return type.attributes
    .filter((attribute) => !found.attributes.some(({ name }) => name === attribute.name))
    .map((attribute) => ({
      kind: "alter type",
      object,
      sql: `ALTER TYPE ${object} ADD ATTRIBUTE ${attributeSql(typeSql, attribute)}`,
    }));
}

/** Each missing label goes right after the one before it on the primary, which is there by then; a first one before the next. */
function addLabels(type: CatalogType, found: CatalogType): Step[] {
  const object = typeName(type);
  return type.labels.flatMap((label, index): Step[] => {
    if (found.labels.includes(label)) return [];
    const before = type.labels[index - 1];
    const next = type.labels.find((other) => found.labels.includes(other));
    const asFirst = next === undefined ? "" : ` BEFORE ${literal(next)}`;
    const place = before === undefined ? asFirst : ` AFTER ${literal(before)}`;
    return [
      {
        kind: "alter type",
        object,
        sql: `ALTER TYPE ${object} ADD VALUE IF NOT EXISTS ${literal(label)}${place}`,
      },
    ];
  });
}

export function attributeSql(typeSql: (use: TypeUse) => string, attribute: CatalogAttribute): string {
  const collation = attribute.collation === null ? "" : ` COLLATE ${attribute.collation}`;
  return `${quoteName(attribute.name)} ${typeSql(attribute.type)}${collation}`;
}

/** What an expression uses and the read database does not have under the same name, nor gets with an extension. */
export function needProblems(
  object: string,
  needs: readonly Need[],
  extensions: TypePlan["extensions"],
  target: Catalog,
): Problem[] {
  return needs.flatMap((need) => {
    const extension = need.extension === null ? undefined : extensions.get(need.extension);
    if (extension === undefined) return target.names.has(need.name) ? [] : [missingNeed(object, need)];
    if (extension.from === extension.to) return [];
    const message = `${object} uses ${need.name}, but the read database has the extension ${need.extension} in the schema ${extension.to}`;
    return [
      {
        object,
        message,
        remedy: `Move the extension to the schema ${extension.from}, then run sluice migrate again.`,
      },
    ];
  });
}

function missingNeed(object: string, need: Need): Problem {
  return {
    object,
    message: `${object} uses the ${need.name}, which the read database does not have`,
    remedy: `Create the ${need.name} there as it is on the primary, then run sluice migrate again.`,
  };
}

function typeName(type: CatalogType): string {
  return `${quoteName(type.schema)}.${quoteName(type.name)}`;
}

/** Safe whatever standard_conforming_strings is. */
export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes("\\") ? `E${quoted.replaceAll("\\", String.raw`\\`)}` : quoted;
}
