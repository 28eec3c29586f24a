import type { TypeManual } from "./type-manual.ts";
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

export const arrayManual: TypeManual = {
  names: [],
  title: "arrays",
  sent: "an array of what is sent for the element",
  written: "each element as for its type",
  lost:
    "all but the first dimension; the era of dates and times with time zone before Christ; timestamps before 15 October 1582 are some days off; " +
    "an array of an enum with a `NULL` in it arrives as `NULL` whole, as do arrays of `bit` and `varbit`; arrays of `money`, `xml`, `point`, " +
    "`interval` and `name` are not sent",
};
