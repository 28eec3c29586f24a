import { z } from "zod";
import { expandList } from "./braces.ts";

/**
 * How an option's text is read. Each type takes what a flag or variable gives (text) and what YAML gives (text, number
 * or list), and says in one sentence what it expects.
 */
export interface ValueType<T> {
  readonly name: "url" | "string" | "list" | "duration" | "size" | "integer" | "enum" | "address" | "memory";
  /** Completes "expected …". */
  readonly expected: string;
  readonly schema: z.ZodType<T>;
}

const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const sizeUnits: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1_000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

/** Milliseconds, or undefined when the text is no duration. */
export function parseDuration(text: string): number | undefined {
  return withUnit(text, /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/, durationUnits);
}

/** Bytes, or undefined when the text is no size. */
export function parseSize(text: string): number | undefined {
  return withUnit(/^\d+$/.test(text) ? `${text}B` : text, /^(\d+(?:\.\d+)?)(B|[KMG]i?B)$/, sizeUnits);
}

/** Host and port, or undefined when the text is neither `host:port`, `[v6]:port` nor `:port`. */
export function parseAddress(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  return { host: match[1] ?? (match[2] === "" || match[2] === undefined ? "0.0.0.0" : match[2]), port };
}

/** The shortest way to write it. */
export function durationText(milliseconds: number): string {
  const units = Object.entries(durationUnits).toReversed();
  const [unit, size] = units.find(([, each]) => milliseconds >= each && milliseconds % each === 0) ?? [
    "ms",
    1,
  ];
  return `${milliseconds / size}${unit}`;
}

function withUnit(text: string, form: RegExp, units: Readonly<Record<string, number>>): number | undefined {
  const match = form.exec(text.trim());
  const factor = units[match?.[2] ?? ""];
  if (match === null || factor === undefined) return undefined;
  const value = Math.round(Number(match[1]) * factor);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Reads text by `parse`; undefined from it is the type's error. */
function textual<T>(expected: string, parse: (text: string) => T | undefined): z.ZodType<T, string> {
  return z.string({ error: `expected ${expected}` }).transform((text, context): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: "custom", message: `expected ${expected}` });
    return z.NEVER;
  });
}

function bounded(
  expected: string,
  minimum: number,
  parse: (text: string) => number | undefined,
): z.ZodType<number, string> {
  return textual(expected, (text) => {
    const value = parse(text);
    return value === undefined || value < minimum ? undefined : value;
  });
}

export function urlValue(protocols: readonly string[]): ValueType<string> {
  const expected = `a URL like ${protocols[0]}://user:password@host:port/…`;
  const parse = (text: string): string | undefined =>
    protocols.includes(URL.parse(text)?.protocol.slice(0, -1) ?? "") ? text : undefined;
  return { name: "url", expected, schema: textual(expected, parse) };
}

export function stringValue(): ValueType<string> {
  const expected = "a text that is not empty";
  return { name: "string", expected, schema: z.string({ error: `expected ${expected}` }).min(1) };
}

/** `problemOf` says what is wrong with one name, if anything is. */
export function listValue(
  minimum = 0,
  problemOf: (name: string) => string | undefined = () => undefined,
): ValueType<readonly string[]> {
  const expected = "names parted by commas, or a YAML list; {0..7} and {a,b} are expanded";
  const schema = z
    .union([z.string(), z.array(z.string())], { error: `expected ${expected}` })
    .transform((value, context): readonly string[] => {
      try {
        const names = (typeof value === "string" ? [value] : value).flatMap(expandList);
        const problem =
          names.length < minimum ? "expected at least one name" : problemOfNames(names, problemOf);
        if (problem === undefined) return names;
        context.addIssue({ code: "custom", message: problem });
      } catch (error) {
        context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
      }
      return z.NEVER;
    });
  return { name: "list", expected, schema };
}

function problemOfNames(
  names: readonly string[],
  problemOf: (name: string) => string | undefined,
): string | undefined {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) return `"${twice}" is there twice`;
  return names.map(problemOf).find((problem) => problem !== undefined);
}

export function durationValue(minimumMs: number): ValueType<number> {
  const expected = `a duration of at least ${minimumMs}ms, such as 250ms, 10s or 1h`;
  return { name: "duration", expected, schema: bounded(expected, minimumMs, parseDuration) };
}

export function sizeValue(minimumBytes: number): ValueType<number> {
  const expected = `a size of at least ${minimumBytes} bytes, such as 512KiB or 16MiB`;
  const schema = numeric(bounded(expected, minimumBytes, parseSize), expected);
  return { name: "size", expected, schema };
}

/** A share is above 0 and at most 1. */
export type MemoryLimit = { readonly share: number } | { readonly bytes: number };

/** Undefined when the text is neither a percentage nor a size. */
export function parseMemoryLimit(text: string): MemoryLimit | undefined {
  const percent = /^(\d{1,3})%$/.exec(text.trim())?.[1];
  if (percent !== undefined) {
    const share = Number(percent) / 100;
    return share > 0 && share <= 1 ? { share } : undefined;
  }
  const bytes = parseSize(text);
  return bytes === undefined || bytes === 0 ? undefined : { bytes };
}

export function memoryLimitValue(): ValueType<string> {
  const expected = "a share from 1% to 100%, or a size such as 2GiB";
  const parse = (text: string): string | undefined =>
    parseMemoryLimit(text) === undefined ? undefined : text.trim();
  return { name: "memory", expected, schema: textual(expected, parse) };
}

export function integerValue(minimum: number, maximum = Number.MAX_SAFE_INTEGER): ValueType<number> {
  const expected =
    maximum === Number.MAX_SAFE_INTEGER
      ? `a whole number of at least ${minimum}`
      : `a whole number from ${minimum} to ${maximum}`;
  const parse = (text: string): number | undefined => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : undefined;
    return value === undefined || value > maximum ? undefined : value;
  };
  return { name: "integer", expected, schema: numeric(bounded(expected, minimum, parse), expected) };
}

/** Lets YAML's numbers in beside text. */
function numeric(schema: z.ZodType<number, string>, expected: string): z.ZodType<number> {
  return z
    .union([z.string(), z.int()], { error: `expected ${expected}` })
    .transform(String)
    .pipe(schema);
}

export function enumValue<const T extends string>(values: readonly [T, ...T[]]): ValueType<T> {
  const expected = `one of ${values.join(", ")}`;
  return { name: "enum", expected, schema: z.enum(values, { error: `expected ${expected}` }) };
}

export function addressValue(): ValueType<string> {
  const expected = "an address like 127.0.0.1:9470, 0.0.0.0:9470 or [::1]:9470";
  return {
    name: "address",
    expected,
    schema: textual(expected, (text) => (parseAddress(text) === undefined ? undefined : text)),
  };
}
