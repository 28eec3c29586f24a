import type { ColumnType, ValueCodec } from "./value-codec.ts";

/** A JSON array of the element's form. Elements that need no conversion are read by PostgreSQL itself. */
export function arrayCodec(type: ColumnType, element: ValueCodec | undefined): ValueCodec | undefined {
  if (element === undefined || type.element === undefined) return undefined;
  if (element.recordType === type.element.sql) return { recordType: type.sql, expression: (ref) => ref };
  const item = element.recordType === "text" ? "e.v" : `e.v::${element.recordType}`;
  return {
    recordType: "json",
    expression: (ref) =>
      `(CASE WHEN ${ref} IS NOT NULL THEN ARRAY(SELECT ${element.expression(`(${item})`)}` +
      ` FROM json_array_elements_text(${ref}) WITH ORDINALITY AS e(v, n) ORDER BY e.n) END)::${type.sql}`,
  };
}
