import { expect, it } from "vitest";
import { fitOf, type Fit, type SentType } from "../../../src/decode/types/type-fit.ts";

/** As `numeric(10,2)`, `mood!` for an enum, `int4[]`. */
function typeOf(written: string): SentType {
  const sql = written.replace("!", "");
  const name = sql.replace(/[( ].*|\[\]$/, "");
  const isArray = sql.endsWith("[]");
  return {
    name: isArray ? `_${name}` : name,
    sql,
    element: isArray ? name : null,
    isEnum: written.endsWith("!"),
  };
}

const fits: readonly (readonly [source: string, target: string, fit: Fit])[] = [
  ["numeric(10,2)", "numeric(10,2)", "holds"],
  ["numeric(10,2)", "numeric(12,4)", "holds"],
  ["numeric(10,2)", "numeric(10,4)", "refuses"],
  ["numeric(10,4)", "numeric(10,2)", "refuses"],
  ["numeric(10,2)", "numeric", "holds"],
  ["numeric", "numeric(10,2)", "refuses"],
  ["numeric(10,2)[]", "numeric[]", "holds"],
  ["numeric[]", "numeric(10,2)[]", "refuses"],
  ["numeric", "float8", "refuses"],
  ["numeric", "int8", "refuses"],
  ["int2", "int4", "holds"],
  ["int4", "int8", "holds"],
  ["int8", "int4", "refuses"],
  ["oid", "int8", "holds"],
  ["int4", "oid", "refuses"],
  ["int4", "float8", "holds"],
  ["int8", "float8", "refuses"],
  ["int4", "float4", "refuses"],
  ["int4", "numeric(12,2)", "holds"],
  ["int4", "numeric(10,2)", "refuses"],
  ["float4", "float8", "other"],
  ["float8", "float4", "refuses"],
  ["float8", "numeric", "other"],
  ["float8", "numeric(10,2)", "refuses"],
  ["varchar(3)", "varchar(4)", "holds"],
  ["varchar(4)", "varchar(3)", "refuses"],
  ["varchar(4)", "text", "holds"],
  ["text", "varchar", "holds"],
  ["text", "varchar(4)", "refuses"],
  ["bpchar(4)", "text", "other"],
  ["text", "citext", "other"],
  ["uuid", "text", "other"],
  ["mood!", "text", "other"],
  ["mood!", "mood!", "holds"],
  ["text", "uuid", "refuses"],
  ["int4range", "text", "other"],
  ["json", "jsonb", "other"],
  ["text", "jsonb", "refuses"],
  ["text[]", "jsonb", "other"],
  ["point", "jsonb", "other"],
  ["text[]", "text", "refuses"],
  ["text", "text[]", "refuses"],
  ["timestamp(3)", "timestamp", "holds"],
  ["timestamp", "timestamp(6)", "holds"],
  ["timestamp", "timestamp(3)", "refuses"],
  // Numbers that count days in one and microseconds in the other.
  ["date", "timestamp", "refuses"],
  ["int8", "timestamp", "refuses"],
  ["timestamp", "timestamptz", "refuses"],
  ["date", "text", "refuses"],
  ["interval(3)", "interval", "holds"],
  ["interval", "interval year to month", "refuses"],
  ["bit(5)", "bit(8)", "refuses"],
  ["bit(5)", "varbit", "refuses"],
  ["varbit(5)", "varbit(8)", "holds"],
  ["cidr", "inet", "other"],
  ["inet", "cidr", "refuses"],
  ["vector(3)", "vector", "holds"],
  ["vector(3)", "vector(4)", "refuses"],
];

it.each(fits)("what is sent of %s, %s %s", (source, target, fit) => {
  expect(fitOf(typeOf(source), typeOf(target))).toBe(fit);
});
