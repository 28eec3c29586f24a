import type { TypeManual } from "./type-manual.ts";
import type { ColumnType, ValueCodec } from "./value-codec.ts";

/**
 * Types that Debezium has a form of its own for, measured on 3.6.1.Final; of any other it sends what PostgreSQL's output
 * function writes, as base64 (`include.unknown.datatypes`). Elements that are domains count as unknown, columns do not.
 */
export const knownTypes: ReadonlySet<string> = new Set(
  (
    "bool int2 int4 int8 oid float4 float8 numeric money text varchar bpchar char name citext bytea bit varbit " +
    "date time timetz timestamp timestamptz interval json jsonb xml uuid inet cidr macaddr macaddr8 tsvector hstore ltree point " +
    "int4range int8range numrange tsrange tstzrange daterange isbn ismn issn isbn13 ismn13 issn13 ean13 upc " +
    "vector halfvec geometry geography oidvector int2vector"
  ).split(" "),
);

export function isOpaque(type: ColumnType): boolean {
  if (type.element !== undefined || type.kind === "enum") return false;
  return (type.kind !== "base" && type.kind !== "range") || !knownTypes.has(type.name);
}

/** The type's own input function reads what its output function wrote. */
export function opaqueCodec(type: ColumnType): ValueCodec {
  return {
    recordType: "text",
    expression: (ref) => `convert_from(decode(${ref}, 'base64'), 'UTF8')::${type.sql}`,
  };
}

export const opaqueManual: TypeManual = {
  names: [],
  title: "any other type: composite, multirange, path, box, tsquery, pg_lsn, … and ranges of your own",
  sent: "its text as PostgreSQL writes it, in base64",
  written: "as it is, read by the type itself",
  unchanged: "bytea",
  lost: "while a column of type `refcursor` exists, Debezium's snapshot fails",
};

export const enumManual: TypeManual = {
  names: [],
  title: "enums",
  sent: "the label",
  written:
    "as it is; a label that the read database lacks is refused until `sluice migrate --from-source` adds it",
  lost: "with a domain over an enum in the primary, Debezium does not start",
  small: true,
};
