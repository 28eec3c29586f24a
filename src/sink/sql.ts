/** An identifier as SQL writes it. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteTable(table: { readonly schema: string; readonly table: string }): string {
  return `${quoteName(table.schema)}.${quoteName(table.table)}`;
}

/** A text as SQL writes it, whatever standard_conforming_strings is. */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll("\\", "\\\\")}'`;
  return text.includes("\\") ? `E${quoted}` : quoted;
}
