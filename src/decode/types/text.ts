import { verbatim } from "../copy-text.ts";
import type { ColumnType, ValueCodec } from "./value-codec.ts";

/** The document is text inside a JSON string; read as json it would stay a string. */
function json(type: ColumnType): ValueCodec {
  return { copy: verbatim, recordType: "text", expression: (ref) => `${ref}::${type.sql}` };
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
  json,
  jsonb: json,
  hstore,
  point,
};
