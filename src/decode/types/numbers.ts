import type { ColumnType, ValueCodec } from "./value-codec.ts";

/** `decimal.handling.mode=string` writes Java's names for what is not a number. */
function numeric(type: ColumnType): ValueCodec {
  return {
    recordType: "text",
    expression: (ref) =>
      `(CASE ${ref} WHEN 'NAN' THEN 'NaN' WHEN 'POSITIVE_INFINITY' THEN 'Infinity'` +
      ` WHEN 'NEGATIVE_INFINITY' THEN '-Infinity' ELSE ${ref} END)::${type.sql}`,
  };
}

export const numberCodecs: Readonly<Record<string, (type: ColumnType) => ValueCodec>> = { numeric };
