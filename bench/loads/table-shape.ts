/** A table of a load. Its first column is the key, `id bigint`. */
export interface TableShape {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** Every version of a row has other values, and the same ones in every run. */
  readonly rowOf: (id: number, version: number) => Row;
}

/** A column's value in the form that Debezium writes into its JSON, which is also a form that COPY reads. */
export type Value = string | number | boolean | null;

/** In the order of the table's columns. */
export type Row = readonly Value[];

export function createTableSql(table: TableShape): string {
  const columns = table.columns.map(({ name, type }, index) =>
    index === 0 ? `${name} ${type} PRIMARY KEY` : `${name} ${type}`,
  );
  return `CREATE TABLE public.${table.name} (${columns.join(", ")})`;
}

export function columnNames(table: TableShape): string {
  return table.columns.map((column) => column.name).join(", ");
}
