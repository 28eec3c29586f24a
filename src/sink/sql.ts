/** An identifier as SQL writes it. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteTable(table: { readonly schema: string; readonly table: string }): string {
  return `${quoteName(table.schema)}.${quoteName(table.table)}`;
}
