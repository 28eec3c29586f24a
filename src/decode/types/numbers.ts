import { decimalForm } from "./copy-forms.ts";
import type { ColumnType, ValueCodec } from "./value-codec.ts";

/** `decimal.handling.mode=string` writes Java's names for what is not a number. */
function numeric(type: ColumnType): ValueCodec {
  const modifiers = /^numeric(?:\((\d+),(-?\d+)\))?$/.exec(type.sql);
  const scale = modifiers?.[2] === undefined ? undefined : Number(modifiers[2]);
  return {
    ...(modifiers === null ? {} : { copy: decimalForm(scale) }),
    recordType: "text",
    expression: (ref) =>
      `(CASE ${ref} WHEN 'NAN' THEN 'NaN' WHEN 'POSITIVE_INFINITY' THEN 'Infinity'` +
      ` WHEN 'NEGATIVE_INFINITY' THEN '-Infinity' ELSE ${ref} END)::${type.sql}`,
  };
}

export const numberCodecs: Readonly<Record<string, (type: ColumnType) => ValueCodec>> = { numeric };
