import { SluiceError } from "../errors/sluice-error.ts";

export type TableFilter = (schema: string, table: string) => boolean;

/** Schemas that are never carried: PostgreSQL's own and the bookkeeping. */
const systemSchemas = /^(pg_catalog|information_schema|pg_toast.*|pg_temp_.*|sluice)$/;

/**
 * Which tables are carried. A pattern is `schema.table`, split at its first dot, with `*` for any text; `!` in front
 * excludes. A table passes when no pattern includes or one of those matches, and no excluding pattern matches; the
 * order of patterns does not matter.
 */
export function tableFilter(patterns: readonly string[]): TableFilter {
  const includes = patterns.filter((pattern) => !pattern.startsWith("!")).map(matcher);
  const excludes = patterns
    .filter((pattern) => pattern.startsWith("!"))
    .map((text) => matcher(text.slice(1)));
  return (schema, table) =>
    !systemSchemas.test(schema) &&
    (includes.length === 0 || includes.some((matches) => matches(schema, table))) &&
    !excludes.some((matches) => matches(schema, table));
}

function matcher(pattern: string): TableFilter {
  const dot = pattern.indexOf(".");
  if (dot < 1 || dot === pattern.length - 1) {
    throw new SluiceError("CONFIG_INVALID", `the table pattern "${pattern}" is not schema.table`, {
      place: { option: "SLUICE_TABLES" },
      remedy: "Write schema and table joined by a dot, like public.orders or public.*",
    });
  }
  const schemas = wildcard(pattern.slice(0, dot));
  const tables = wildcard(pattern.slice(dot + 1));
  return (schema, table) => schemas.test(schema) && tables.test(table);
}

function wildcard(text: string): RegExp {
  const escaped = text.replaceAll(/[\\^$.+?()[\]{}|]/g, String.raw`\$&`).replaceAll("*", ".*");
  return new RegExp(`^${escaped}$`, "s");
}
