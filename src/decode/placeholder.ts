import type { ColumnType } from "./types/value-codec.ts";

/**
 * What Debezium writes for an unchanged large value that PostgreSQL did not log (TOAST). Its form depends on the column's
 * type; a value is one only if it is exactly that (I7).
 */
const text = "__debezium_unavailable_value";
const base64 = Buffer.from(text).toString("base64");
const numbers = [...Buffer.from(text)].join(",");
/** Name-based UUID of the text, as the JVM makes it. */
const uuid = "b68a35a7-17ad-35b3-af2a-ae46edb4545a";

const textJson = `"${text}"`;
const base64Json = `"${base64}"`;

/** Of these an unchanged large value arrives as NULL, measured on 3.6.1.Final. */
export const typesWithoutPlaceholder = ["bit", "varbit"] as const;

/** Of arrays of other elements an unchanged large value arrives as NULL, and of domains over arrays. */
export const elementsWithPlaceholder = [
  ...(["text", "varchar", "bpchar", "json", "jsonb"] as const),
  ...(["bytea", "int4", "int8", "date", "uuid"] as const),
] as const;

/** JSON texts that stand for an unchanged large value in a column of the type; empty: the type has none. */
export function placeholdersOf(type: ColumnType): readonly string[] {
  const element = type.element;
  if (element !== undefined) return arrayPlaceholders(element);
  switch (type.name) {
    case "bytea":
      return [base64Json];
    case "hstore":
      return [JSON.stringify(JSON.stringify({ [text]: text }))];
    case "int2":
    case "int4":
    case "int8":
    case "float4":
    case "float8":
    case "bool":
    case "oid":
    case "date":
    case "time":
    case "timestamp":
    case "uuid":
      return [];
    default:
      return [textJson];
  }
}

function arrayPlaceholders(element: ColumnType): readonly string[] {
  switch (element.name) {
    case "int2":
    case "int4":
    case "int8":
    case "oid":
    case "date":
      return [`[${numbers}]`];
    case "uuid":
      return [`["${uuid}"]`];
    case "bytea":
      return [`[${base64Json}]`];
    default:
      return [`[${textJson}]`];
  }
}
