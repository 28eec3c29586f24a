import { bytesForm } from "./copy-forms.ts";
import type { ColumnType, ValueCodec } from "./value-codec.ts";

function bytea(): ValueCodec {
  return { copy: bytesForm, recordType: "text", expression: (ref) => `decode(${ref}, 'base64')` };
}

/**
 * One bit is a boolean. More are base64 of the bytes in little-endian order without leading zeros: bit(n) is padded again to
 * its length; a varbit's leading zeros are lost at the origin.
 */
export function bitCodec(type: ColumnType): ValueCodec {
  const width = /\((\d+)\)$/.exec(type.sql)?.[1];
  if (width === "1") {
    return {
      recordType: "boolean",
      expression: (ref) => `(CASE ${ref} WHEN true THEN '1' WHEN false THEN '0' END)::${type.sql}`,
    };
  }
  const digits = (ref: string): string =>
    `(SELECT coalesce(string_agg(get_byte(b.v, i)::bit(8)::text, '' ORDER BY i DESC), '')` +
    ` FROM (SELECT decode(${ref}, 'base64') AS v) AS b, generate_series(0, length(b.v) - 1) AS i)`;
  // An explicit cast would cut what is too long; going through text and the type's input makes that an error.
  const text =
    type.name === "bit"
      ? (ref: string) => `lpad(ltrim(${digits(ref)}, '0'), ${width ?? "1"}, '0')`
      : (ref: string) => `ltrim(${digits(ref)}, '0')`;
  return {
    recordType: "text",
    expression: (ref) => `(CASE WHEN ${ref} IS NOT NULL THEN ${text(ref)} END)::${type.sql}`,
  };
}

export const binaryCodecs: Readonly<Record<string, (type: ColumnType) => ValueCodec>> = { bytea };
