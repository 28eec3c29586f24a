import { parseTablePattern, type TablePattern } from "../config/table-pattern.ts";
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
  const parsed = patterns.map(parsePattern);
  const includes = parsed.filter(({ excludes: excluding }) => !excluding).map(matcher);
  const excludes = parsed.filter(({ excludes: excluding }) => excluding).map(matcher);
  return (schema, table) =>
    !systemSchemas.test(schema) &&
    (includes.length === 0 || includes.some((matches) => matches(schema, table))) &&
    !excludes.some((matches) => matches(schema, table));
}

function parsePattern(text: string): TablePattern {
  const pattern = parseTablePattern(text);
  if (pattern !== undefined) return pattern;
  throw new SluiceError("CONFIG_INVALID", `the table pattern "${text}" is not schema.table`, {
    place: { option: "SLUICE_TABLES" },
    remedy: "Write schema and table joined by a dot, like public.orders or public.*",
  });
}

function matcher(pattern: TablePattern): TableFilter {
  const [schemas, tables] = [wildcard(pattern.schema), wildcard(pattern.table)];
  return (schema, table) => schemas.test(schema) && tables.test(table);
}

function wildcard(text: string): RegExp {
  const escaped = text.replaceAll(/[\\^$.+?()[\]{}|]/g, String.raw`\$&`).replaceAll("*", ".*");
  return new RegExp(`^${escaped}$`, "s");
}
