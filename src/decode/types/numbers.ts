import { decimalBinary, doubleBinary, singleBinary } from "./binary-forms.ts";
import { decimalForm, doubleForm, singleForm } from "./copy-forms.ts";
import { exactly, modifiersOf } from "./exact.ts";
import type { TypeManual } from "./type-manual.ts";
import type { ColumnType, ValueCodec } from "./value-codec.ts";

/** `decimal.handling.mode=string` writes Java's names for what is not a number. */
function numeric(type: ColumnType): ValueCodec {
  const [precision, scale = 0] = modifiersOf(type);
  if (precision !== undefined) return scaled(type, scale);
  return {
    copy: decimalForm(undefined),
    binary: decimalBinary(undefined),
    recordType: "text",
    expression: (ref) =>
      `(CASE ${ref} WHEN 'NAN' THEN 'NaN' WHEN 'POSITIVE_INFINITY' THEN 'Infinity'` +
      ` WHEN 'NEGATIVE_INFINITY' THEN '-Infinity' ELSE ${ref} END)::${type.sql}`,
  };
}

/** With a scale it cannot be infinite, and NAN is read as it is. The first condition costs next to nothing and is nearly always met. */
function scaled(type: ColumnType, scale: number): ValueCodec {
  const fits = (ref: string): string => `${ref} = ${ref}::${type.sql}`;
  return {
    ...(scale < 0 ? {} : { copy: decimalForm(scale), binary: decimalBinary(scale) }),
    recordType: "numeric",
    expression: (ref) =>
      exactly(type, {
        ref,
        when: scale < 0 ? fits(ref) : `scale(${ref}) <= ${scale} OR ${fits(ref)}`,
        value: `${ref}::${type.sql}`,
      }),
  };
}

/** Digits that any decimal may have and be read back from the type; decimals of its smallest value. */
const floats = {
  float4: { digits: 6, places: 45 },
  float8: { digits: 15, places: 324 },
} as const;

/**
 * Java and PostgreSQL both write the shortest decimal that is read as the same value, so what is sent must be what PostgreSQL writes, with two
 * exceptions: Java writes two digits at least, of the smallest values too, and a decimal half-way to the neighbour, which is read as the value all
 * the same, where PostgreSQL writes a longer one. A longer decimal comes from a column of another type and is rounded here.
 */
function float(type: ColumnType): ValueCodec {
  const { digits, places } = type.name === "float4" ? floats.float4 : floats.float8;
  const value = (ref: string): string => `${ref}::${type.sql}`;
  const written = (ref: string): string => `${value(ref)}::text`;
  const length = (decimal: string): string =>
    `length(trim('0' from translate(${decimal}::numeric::text, '-.', '')))`;
  return {
    copy: type.name === "float4" ? singleForm : doubleForm,
    binary: type.name === "float4" ? singleBinary : doubleBinary,
    recordType: "text",
    expression: (ref) =>
      exactly(type, {
        ref,
        when:
          `octet_length(${ref}) <= ${digits} AND strpos(${ref}, 'E-') = 0 OR ${written(ref)} = ${ref}` +
          ` OR ${written(ref)}::numeric = round(${ref}::numeric, ${places})` +
          ` OR ${length(ref)} < ${length(written(ref))}`,
        value: value(ref),
      }),
  };
}

/** By way of numeric: what the type itself reads depends on the database's lc_monetary. */
function money(type: ColumnType): ValueCodec {
  return {
    recordType: "numeric",
    expression: (ref) =>
      exactly(type, { ref, when: `${ref}::${type.sql}::numeric = ${ref}`, value: `${ref}::${type.sql}` }),
  };
}

/** The type itself reads -1 as 4294967295. */
function oid(type: ColumnType): ValueCodec {
  return { recordType: "bigint", expression: (ref) => `${ref}::${type.sql}` };
}

export const numberCodecs: Readonly<Record<string, (type: ColumnType) => ValueCodec>> = {
  numeric,
  float4: float,
  float8: float,
  money,
  oid,
};

const outOfRange = "as it is; what is out of range is refused";
const shortest =
  "the value that the decimal stands for; a longer decimal, from a column of another type, is refused";

export const numberManuals: readonly TypeManual[] = [
  { names: ["bool"], title: "boolean", sent: "`true`, `false`", written: "as it is", small: true },
  {
    names: ["int2", "int4", "int8"],
    title: "smallint, integer, bigint",
    sent: "a number",
    written: outOfRange,
    small: true,
  },
  { names: ["oid"], sent: "a number", written: outOfRange, small: true },
  {
    names: ["float4", "float8"],
    title: "real, double precision",
    sent: 'the shortest decimal that is read as the same value; `"NaN"`, `"Infinity"`, `"-Infinity"`',
    written: shortest,
    small: true,
  },
  {
    names: ["numeric"],
    sent: '`"12.30"`; `"NAN"`, `"POSITIVE_INFINITY"`, `"NEGATIVE_INFINITY"`',
    written: "as it is; more digits than `numeric(p,s)` keeps are refused, zeros at the end aside",
  },
  {
    names: ["money"],
    sent: '`"12.34"`, whatever `lc_monetary` is',
    written: "the same amount; more decimals than `lc_monetary` of the read database has are refused",
    small: true,
  },
];
