import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CopyData } from "../../../src/decode/copy-data.ts";
import { CopyPlan, copyRow, verbatim, type CopyForm } from "../../../src/decode/copy-text.ts";
import { gapsOf } from "../../../src/decode/member-gaps.ts";
import { spanOf } from "../../../src/decode/span.ts";
import {
  bytesForm,
  dateForm,
  decimalForm,
  doubleForm,
  momentForm,
  shortTextForm,
  singleForm,
  timeForm,
  zonedMomentForm,
} from "../../../src/decode/types/copy-forms.ts";
import { whereabouts } from "../../support/kernel-bytes.ts";

function planOf(names: readonly string[], forms: readonly (CopyForm | undefined)[]): CopyPlan {
  return new CopyPlan(forms, gapsOf(names));
}

const escapes: Readonly<Record<string, string>> = {
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  "\\": "\\",
};

/** A line of COPY's text format, as PostgreSQL documents it. */
function readLine(line: string): (string | null)[] {
  return line
    .split("\t")
    .map((field) =>
      field === "\\N" ? null : field.replaceAll(/\\(.)/gs, (_, sign: string) => escapes[sign] ?? sign),
    );
}

function written(values: object, form: CopyForm): (string | null)[][] | undefined {
  const names = Object.keys(values);
  const plan = planOf(
    names,
    names.map(() => form),
  );
  const [text, inKernel] = whereabouts.map(([, put, to]) => lineOf(put, to(), values, plan));
  expect(inKernel).toBe(text);
  const lines = text?.split("\n");
  if (lines !== undefined) expect(lines.pop()).toBe("");
  return lines?.map(readLine);
}

function lineOf(
  put: (bytes: Buffer) => Buffer,
  to: CopyData,
  values: object,
  plan: CopyPlan,
): string | undefined {
  const json = Buffer.from(JSON.stringify(values));
  const image = { bytes: put(json), start: 0, end: json.length };
  return copyRow(image, plan, 42n, to) ? to.bytes.toString("utf8", 0, to.length) : undefined;
}

function one(value: unknown, form: CopyForm): string | null | undefined {
  return written({ a: value }, form)?.[0]?.[0];
}

const scalar = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom("\\", '"', "\t", "\n", "\r", "\b", "ä", "😀", "N", ".", "/") }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
);

describe("copyRow", () => {
  it("writes the same by the kernel and by the forms, whatever the forms and values", () => {
    const forms = [
      verbatim,
      decimalForm(2),
      zonedMomentForm,
      shortTextForm(20),
      momentForm,
      doubleForm,
      undefined,
    ];
    const decimal = fc.tuple(fc.integer(), fc.nat(999)).map(([whole, part]) => `${whole}.${part}`);
    const moment = fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
    const value = fc.oneof(
      scalar,
      decimal,
      moment,
      fc.integer(),
      fc.jsonValue({ maxDepth: 1 }),
      fc.string({ minLength: 14, maxLength: 40 }),
    );
    const member = fc.tuple(fc.string(), value, fc.constantFrom(...forms));
    let whole = 0;
    fc.assert(
      fc.property(fc.uniqueArray(member, { selector: ([name]) => name, maxLength: 9 }), (members) => {
        const named = members.filter(([name]) => name !== "__proto__" && !/^\d+$/.test(name));
        const values = Object.fromEntries(named);
        const plan = planOf(
          named.map(([name]) => name),
          named.map(([, , form]) => form),
        );
        const [byForms, byKernel] = whereabouts.map(([, put, to]) => lineOf(put, to(), values, plan));
        expect(byKernel).toBe(byForms);
        if (byForms !== undefined) whole++;
      }),
      { numRuns: 3000 },
    );
    expect(whole).toBeGreaterThan(300);
  });

  it("writes any scalar's text so that COPY reads the same, in one line", () => {
    const row = fc.array(scalar, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(row, (values) => {
        const object = Object.fromEntries(values.map((value, index) => [`c${index}`, value]));
        const lines = written(object, verbatim);
        const texts = values.map((value) => (value === null ? null : textOf(value)));
        const hasZero = texts.some((text) => text?.includes("\0"));
        if (hasZero) expect(lines).toBeUndefined();
        else expect(lines).toEqual([[...texts, "42"]]);
      }),
      { numRuns: 1000 },
    );
  });

  it.each(whereabouts)(
    "reads escapes and code points, pairs too, and refuses halves of pairs and zero, %s",
    (_, put, text) => {
      const to = text();
      const raw = (value: string): boolean => {
        const json = Buffer.from(`{"a":"${value}"}`);
        return copyRow({ bytes: put(json), start: 0, end: json.length }, planOf(["a"], [verbatim]), 1n, to);
      };
      for (const half of ["\\ud83d", "\\ude00", "\\ud83dx", "\\ud83d\\u0041", "\\u0000", "\\u00zz"])
        expect(raw(half)).toBe(false);
      expect(to.length).toBe(0);
      expect(raw("\\u00e9\\ud83d\\ude00\\u0009\\u005c\\/")).toBe(true);
      expect(readLine(to.bytes.toString("utf8", 0, to.length - 1))).toEqual(["é😀\t\\/", "1"]);
      to.length = 0;
      expect(raw("x\\/y")).toBe(true);
      expect(readLine(to.bytes.toString("utf8", 0, to.length - 1))).toEqual(["x/y", "1"]);
      to.length = 0;
      expect(raw('\\/\\"\\n\\\\t')).toBe(true);
      expect(readLine(to.bytes.toString("utf8", 0, to.length - 1))).toEqual(['/"\n\\t', "1"]);
    },
  );

  it("leaves out members without a form, and takes all of a refused row back", () => {
    const to = new CopyData();
    const without = planOf(["a", "b", "d"], [verbatim, undefined, verbatim]);
    expect(copyRow(spanOf(Buffer.from('{"a":1,"b":{"c":[1]},"d":2}')), without, 9n, to)).toBe(true);
    const both = planOf(["a", "b"], [verbatim, verbatim]);
    expect(copyRow(spanOf(Buffer.from('{"a":1,"b":{}}')), both, 9n, to)).toBe(false);
    expect(to.bytes.toString("utf8", 0, to.length)).toBe("1\t2\t9\n");
  });

  it.each(whereabouts)("finds values behind any name, with white space or without, %s", (_, put, text) => {
    const names = ["a", 'q"', "ä\\", "", "b:", "c"];
    const object = Object.fromEntries(names.map((name, index) => [name, index]));
    for (const json of [
      JSON.stringify(object),
      JSON.stringify(object, undefined, 1),
      `{ ${JSON.stringify(object).slice(1)}`,
    ]) {
      const to = text();
      const plan = planOf(
        names,
        names.map(() => verbatim),
      );
      const image = { bytes: put(Buffer.from(json)), start: 0, end: Buffer.byteLength(json) };
      expect(copyRow(image, plan, 6n, to)).toBe(true);
      expect(readLine(to.bytes.toString("utf8", 0, to.length - 1))).toEqual([
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
      ]);
    }
  });

  it("leaves the kernel's memory when it becomes too long for it, and comes back", () => {
    const [, put, text] = whereabouts[1] ?? expect.fail();
    const to = text();
    const json = Buffer.from(JSON.stringify({ a: "x".repeat(2_000_000) }));
    const image = { bytes: put(json), start: 0, end: json.length };
    const plan = planOf(["a"], [verbatim]);
    for (let row = 0; row < 9; row++) expect(copyRow(image, plan, 1n, to)).toBe(true);
    expect(to.address).toBe(-1);
    expect(to.bytes.toString("utf8", 0, to.length)).toBe(`${"x".repeat(2_000_000)}\t1\n`.repeat(9));
    to.clear();
    expect([to.length, to.address]).toEqual([0, text().address]);
  });

  it("grows with its rows", () => {
    const to = new CopyData();
    const long = "x".repeat(300_000);
    for (let row = 0; row < 3; row++)
      copyRow(
        spanOf(Buffer.from(JSON.stringify({ a: long, b: null }))),
        planOf(["a", "b"], [verbatim, verbatim]),
        1n,
        to,
      );
    expect(to.bytes.toString("utf8", 0, to.length)).toBe(`${long}\t\\N\t1\n`.repeat(3));
  });
});

/** A number's text is JSON's. */
function textOf(value: string | number | boolean): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

describe("forms", () => {
  it.each<[string, CopyForm, unknown, string | null | undefined]>([
    ["a decimal of the column's scale", decimalForm(2), "12.30", "12.30"],
    ["a decimal finer than the column", decimalForm(2), "12.345", undefined],
    ["a whole decimal", decimalForm(0), "-7", "-7"],
    ["a decimal of any scale", decimalForm(undefined), "1.23456789", "1.23456789"],
    ["Debezium's name of no number", decimalForm(2), "NAN", undefined],
    ["an exponent", decimalForm(undefined), "1E+5", undefined],
    ["no decimal at all", decimalForm(undefined), "", undefined],
    ["a moment", zonedMomentForm, "2024-01-01T18:04:05.678901Z", "2024-01-01T18:04:05.678901Z"],
    ["a moment before Christ", zonedMomentForm, "-0043-03-15T10:00:00Z", undefined],
    ["a moment of the year 0", zonedMomentForm, "0000-03-15T10:00:00Z", undefined],
    ["a moment after the year 9999", zonedMomentForm, "+294276-12-31T23:59:59Z", undefined],
    ["an endless moment", zonedMomentForm, "infinity", undefined],
    ["an endless date", dateForm, -2_147_472_692, undefined],
    ["the last date of four digits", dateForm, 2_932_896, "9999-12-31"],
    ["the first date of four digits", dateForm, -719_162, "0001-01-01"],
    ["a date before Christ", dateForm, -735_160, undefined],
    ["the end of the day", timeForm, 86_400_000_000, "24:00:00"],
    ["an endless timestamp", momentForm, 9_223_372_036_825_200_000, undefined],
    ["a double", doubleForm, 0.30000000000000004, "0.30000000000000004"],
    ["a number that a double may round", doubleForm, 1234567890123456, undefined],
    ["what is no number", doubleForm, "-Infinity", "-Infinity"],
    ["a number in a string", doubleForm, "1.5", undefined],
    ["a small number", singleForm, -1.5, "-1.5"],
    ["a number that a float may round", singleForm, 1.2345678, undefined],
    ["short text", shortTextForm(3), "abc", "abc"],
    ["text that may be too long", shortTextForm(3), "ab ä", undefined],
    ["no text", shortTextForm(1), null, null],
    ["bytes", bytesForm, "3q2+7w==", "\\xdeadbeef"],
    ["no bytes", bytesForm, "", "\\x"],
    ["bytes that are no base64", bytesForm, "3q2", undefined],
    ["a missing value", decimalForm(2), null, null],
    ["an object", verbatim, {}, undefined],
  ])("%s", (_, form, value, text) => {
    expect(one(value, form)).toBe(text);
  });

  it("writes timestamps as PostgreSQL prints them, to the microsecond", () => {
    const micros = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: 9_007_199_254_740_991 });
    fc.assert(
      fc.property(micros, (value) => {
        const text = one(value, momentForm);
        const [whole = "", fraction = "0"] = (text ?? "").split(".");
        const seconds = Date.parse(`${whole.replace(" ", "T")}Z`) / 1000;
        expect(BigInt(seconds) * 1_000_000n + BigInt(fraction.padEnd(6, "0"))).toBe(BigInt(value));
      }),
      { numRuns: 1000, examples: [[-1], [0], [86_399_999_999], [9_007_199_254_740_991]] },
    );
  });

  it("writes bytes as PostgreSQL reads them", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = one(Buffer.from(bytes).toString("base64"), bytesForm);
        expect(text).toBe(`\\x${Buffer.from(bytes).toString("hex")}`);
      }),
    );
  });
});

it("writes every position with its digits", () => {
  const positions = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    fc.integer({ min: 0, max: 18 }).map((power) => 10n ** BigInt(power)),
    fc.integer({ min: 1, max: 18 }).map((power) => 10n ** BigInt(power) - 1n),
    fc.constantFrom(2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n),
  );
  fc.assert(
    fc.property(fc.array(positions, { maxLength: 5 }), (values) => {
      const to = new CopyData();
      for (const value of values) {
        to.decimal(value);
        to.ascii(" ");
      }
      expect(to.bytes.toString("latin1", 0, to.length)).toBe(values.map((value) => `${value} `).join(""));
    }),
    { numRuns: 2_000 },
  );
});
