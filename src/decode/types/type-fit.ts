import { modifiersOf } from "./exact.ts";

/** A column's type below domains, in either database. */
export interface SentType {
  /** pg_type.typname. */
  readonly name: string;
  /** As SQL writes it, with its modifiers. */
  readonly sql: string;
  /** pg_type.typname of an array's elements. */
  readonly element: string | null;
  readonly isEnum: boolean;
}

/**
 * How a column of the read database takes what is sent of the primary's: `holds` every value; `other`: every value too, but in another
 * form; `refuses` some, or would take them for something else.
 */
export type Fit = "holds" | "other" | "refuses";

export function fitOf(source: SentType, target: SentType): Fit {
  if (source.element !== null && target.element !== null) return fitOf(elementOf(source), elementOf(target));
  if (source.element !== null) return isJson(target.name) ? "other" : "refuses";
  if (target.element !== null) return "refuses";
  if (source.name === target.name) return sameModified(source, target) ? "holds" : "refuses";
  return (
    integerFit(source, target) ??
    textFit(source, target) ??
    (isReadable(source, target) ? "other" : "refuses")
  );
}

function isReadable(source: SentType, target: SentType): boolean {
  if (isJson(target.name)) return isJsonAsSent(source.name);
  return others[source.name]?.includes(target.name) === true && modifiersOf(target).length === 0;
}

/** The same type with other modifiers: whether it keeps all that the source's do. */
function sameModified(source: SentType, target: SentType): boolean {
  if (source.sql === target.sql) return true;
  const [from, to] = [modifiersOf(source), modifiersOf(target)];
  switch (source.name) {
    case "numeric":
      return holdsDigits(from, to);
    case "time":
    case "timetz":
    case "timestamp":
    case "timestamptz":
      return (to[0] ?? 6) >= (from[0] ?? 6);
    // Filled up with zeros it would be another value; without a length its leading zeros are lost.
    case "bit":
      return false;
    case "varchar":
    case "bpchar":
    case "varbit":
      return to[0] === undefined || (from[0] !== undefined && from[0] <= to[0]);
    case "interval":
      return target.sql === "interval";
    default:
      return !target.sql.includes("(") || bracketOf(source) === bracketOf(target);
  }
}

/** Extensions may lie in another schema. */
function bracketOf({ sql }: SentType): string {
  return sql.slice(sql.indexOf("("));
}

function holdsDigits(
  [precision, scale = 0]: readonly number[],
  [targetPrecision, targetScale = 0]: readonly number[],
): boolean {
  if (targetPrecision === undefined) return true;
  if (precision === undefined) return false;
  return targetScale >= scale && targetPrecision - targetScale >= precision - scale;
}

/** Decimal digits of the largest value. */
const digits: Readonly<Record<string, number>> = { int2: 5, int4: 10, oid: 10, int8: 19 };
/** Digits that every whole number may have, at least. */
const heldDigits: Readonly<Record<string, number>> = { int2: 4, int4: 9, float4: 6, float8: 15, int8: 18 };

function integerFit(source: SentType, target: SentType): Fit | undefined {
  const most = digits[source.name];
  if (most === undefined) return undefined;
  const [precision = Infinity, scale = 0] = modifiersOf(target);
  const held = target.name === "numeric" ? precision - scale : heldDigits[target.name];
  if (held === undefined) return undefined;
  return held >= most ? "holds" : "refuses";
}

const texts = ["text", "varchar", "bpchar", "citext"];

/** Blanks at the end mean nothing in char(n), capitals nothing in citext. */
function textFit(source: SentType, target: SentType): Fit | undefined {
  if (!texts.includes(target.name)) return undefined;
  if (!texts.includes(source.name)) return source.isEnum || isTextAsSent(source.name) ? "other" : undefined;
  const [[most], [held]] = [modifiersOf(source), modifiersOf(target)];
  if (held !== undefined && (most === undefined || most > held)) return "refuses";
  return [source.name, target.name].every((name) => name === "text" || name === "varchar")
    ? "holds"
    : "other";
}

/** Sent in a form that a reader of text would expect. */
function isTextAsSent(name: string): boolean {
  return sentAsText.includes(name) || name.endsWith("range");
}

const sentAsText = (
  "bool int2 int4 int8 oid float4 float8 numeric money char uuid inet cidr macaddr macaddr8 json jsonb xml tsvector ltree hstore " +
  "timestamptz timetz interval"
).split(" ");

/** What is sent is a JSON document of the same meaning. */
function isJsonAsSent(name: string): boolean {
  return ["bool", "int2", "int4", "int8", "hstore", "point"].includes(name) || isJson(name);
}

function isJson(name: string): boolean {
  return name === "json" || name === "jsonb";
}

/** Types that read every value of the one named as it is sent. */
const others: Readonly<Record<string, readonly string[]>> = {
  float4: ["float8", "numeric"],
  float8: ["numeric"],
  money: ["numeric"],
  cidr: ["inet"],
  macaddr: ["macaddr8"],
};

/** Modifiers of an array are those of its elements. */
function elementOf({ sql, element, isEnum }: SentType): SentType {
  return { name: element ?? "", sql: sql.replace(/\[\]$/, ""), element: null, isEnum };
}
