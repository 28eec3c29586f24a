import { verbatim } from "../copy-text.ts";
import { jsonbBinary, shortTextBinary, textBinary } from "./binary-forms.ts";
import { shortTextForm } from "./copy-forms.ts";
import { asSent, exactly, modifiersOf, sameText } from "./exact.ts";
import type { TypeManual } from "./type-manual.ts";
import type { ColumnType, ValueCodec } from "./value-codec.ts";

/** The type itself would cut blanks at the end that are too many; those of char(n) mean nothing. */
function varchar(type: ColumnType): ValueCodec {
  const [most] = modifiersOf(type);
  if (most === undefined) return asSent(type);
  return {
    copy: shortTextForm(most),
    binary: shortTextBinary(most),
    recordType: "text",
    expression: (ref) =>
      exactly(type, {
        ref,
        when: `octet_length(${ref}) <= ${most} OR length(${ref}) <= ${most}`,
        value: `${ref}::${type.sql}`,
      }),
  };
}

/** The document is text inside a JSON string; read as json it would stay a string. */
function json(type: ColumnType): ValueCodec {
  return {
    copy: verbatim,
    binary: type.name === "jsonb" ? jsonbBinary : textBinary,
    recordType: "text",
    expression: (ref) => `${ref}::${type.sql}`,
  };
}

/** `hstore.handling.mode=json`: an object's text. */
function hstore(type: ColumnType): ValueCodec {
  return {
    recordType: "text",
    expression: (ref) =>
      `(CASE WHEN ${ref} IS NOT NULL THEN (SELECT ${type.schemaSql}.hstore(coalesce(array_agg(e.key), '{}'::text[]),` +
      ` coalesce(array_agg(e.value), '{}'::text[])) FROM json_each_text(${ref}::json) AS e) END)`,
  };
}

function point(): ValueCodec {
  return {
    recordType: "json",
    expression: (ref) => `point((${ref} ->> 'x')::float8, (${ref} ->> 'y')::float8)`,
  };
}

export const textCodecs: Readonly<Record<string, (type: ColumnType) => ValueCodec>> = {
  varchar,
  name: sameText,
  char: sameText,
  json,
  jsonb: json,
  hstore,
  point,
};

export const textManuals: readonly TypeManual[] = [
  { names: ["text", "citext"], sent: "text", written: "as it is" },
  {
    names: ["varchar"],
    sent: "text",
    written: "as it is; what is longer than `varchar(n)` is refused, also if only by blanks",
  },
  {
    names: ["bpchar"],
    title: "char(n)",
    sent: "text, filled up with blanks",
    written:
      "as it is; what is longer than `char(n)` is refused, but for blanks at the end, which mean nothing",
  },
  {
    names: ["name"],
    sent: "`NULL`",
    written: "`NULL`; of text from a column of another type, more than 63 bytes are refused",
    lost: "the value, also in arrays; a domain over `name` arrives",
    small: true,
  },
  {
    names: ["char"],
    title: '"char"',
    sent: "text",
    written: "as it is; more than one byte is refused",
    small: true,
  },
  { names: ["json"], sent: "the document's text, in a string", written: "as it is, byte for byte" },
  { names: ["jsonb"], sent: "the document's text, in a string", written: "as it is" },
  {
    names: ["xml"],
    sent: "text",
    written: "as it is",
    lost: "the declaration `<?xml …?>`",
  },
  { names: ["uuid"], sent: "text", written: "as it is", small: true },
  {
    names: ["inet", "cidr", "macaddr", "macaddr8"],
    sent: "text",
    written: "as it is",
    small: true,
  },
  { names: ["tsvector", "ltree"], sent: "text", written: "as it is" },
  { names: ["hstore"], sent: "an object's text, in a string", written: "the same pairs" },
  {
    names: ["int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"],
    title: "ranges of PostgreSQL's own",
    sent: 'text such as `"[1,5)"`',
    written: "as it is",
  },
  {
    names: ["isbn", "ismn", "issn", "isbn13", "ismn13", "issn13", "ean13", "upc"],
    title: "isbn, issn and the others of the extension isn",
    sent: "text",
    written: "as the type reads it; not measured",
    small: true,
  },
  {
    names: ["point"],
    sent: '`{"x": 1.0, "y": 2.0, "wkb": …, "srid": null}`',
    written: "x and y",
    small: true,
  },
  {
    names: ["vector", "halfvec"],
    title: "vector, halfvec (pgvector)",
    sent: "an array of numbers",
    written: "as the type reads it; not measured",
  },
  {
    names: ["geometry", "geography"],
    title: "geometry, geography (PostGIS)",
    sent: "an object with the value in WKB",
    written: "not supported: refused",
  },
  {
    names: ["oidvector", "int2vector"],
    sent: "nothing: they arrive empty",
    written: "what is sent",
    lost: "the value",
    small: true,
  },
];
