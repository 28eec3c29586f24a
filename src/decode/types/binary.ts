import { bytesBinary } from "./binary-forms.ts";
import { bytesForm } from "./copy-forms.ts";
import { exactly, modifiersOf } from "./exact.ts";
import type { TypeManual } from "./type-manual.ts";
import type { ColumnType, ValueCodec } from "./value-codec.ts";

function bytea(): ValueCodec {
  return {
    copy: bytesForm,
    binary: bytesBinary,
    recordType: "text",
    expression: (ref) => `decode(${ref}, 'base64')`,
  };
}

/**
 * One bit is a boolean. More are base64 of the bytes in little-endian order without leading zeros: bit(n) is padded again to
 * its length. A varbit's leading zeros are lost at the origin, and those of a `bit` without a length, which CREATE TABLE AS may make.
 */
export function bitCodec(type: ColumnType): ValueCodec {
  const [width] = modifiersOf(type);
  if (type.name === "bit" && width === 1) {
    return {
      recordType: "boolean",
      expression: (ref) => `(CASE ${ref} WHEN true THEN '1' WHEN false THEN '0' END)::${type.sql}`,
    };
  }
  const digits = (ref: string): string =>
    `(SELECT ltrim(coalesce(string_agg(get_byte(b.v, i)::bit(8)::text, '' ORDER BY i DESC), ''), '0') AS d` +
    ` FROM (SELECT decode(${ref}, 'base64') AS v) AS b, generate_series(0, length(b.v) - 1) AS i) AS s`;
  return {
    recordType: "text",
    expression: (ref) =>
      `(CASE WHEN ${ref} IS NOT NULL THEN (SELECT ${bits(type, width)} FROM ${digits(ref)}) END)`,
  };
}

/** A cast would cut what is too long. */
function bits(type: ColumnType, width: number | undefined): string {
  if (width === undefined) return `s.d::${type.sql}`;
  const value = type.name === "bit" ? `lpad(s.d, ${width}, '0')` : "s.d";
  return exactly(type, { ref: "s.d", when: `length(s.d) <= ${width}`, value: `${value}::${type.sql}` });
}

export const binaryCodecs: Readonly<Record<string, (type: ColumnType) => ValueCodec>> = { bytea };

export const binaryManuals: readonly TypeManual[] = [
  { names: ["bytea"], sent: "base64", written: "the same bytes" },
  {
    names: ["bit"],
    sent: "`bit(1)`: `true`, `false`; longer ones: base64 of the bytes, the lowest first",
    written: "filled up with zeros to the column's length; what is longer is refused",
  },
  {
    names: ["varbit"],
    title: "bit varying",
    sent: "base64 of the bytes, the lowest first",
    written: "what is longer than `varbit(n)` is refused",
    lost: "leading zeros",
  },
];
