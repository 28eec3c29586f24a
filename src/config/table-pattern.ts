/** A pattern of tables: `schema.table`, split at its first dot, `!` in front of one that excludes. */
export interface TablePattern {
  readonly excludes: boolean;
  readonly schema: string;
  readonly table: string;
}

/** Undefined when the text is none. */
export function parseTablePattern(text: string): TablePattern | undefined {
  const excludes = text.startsWith("!");
  const pattern = excludes ? text.slice(1) : text;
  const dot = pattern.indexOf(".");
  if (dot < 1 || dot === pattern.length - 1) return undefined;
  return { excludes, schema: pattern.slice(0, dot), table: pattern.slice(dot + 1) };
}
