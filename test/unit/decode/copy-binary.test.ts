import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { binaryPlan, copyBinary } from "../../../src/decode/copy-binary.ts";
import { CopyData } from "../../../src/decode/copy-data.ts";
import type { BinaryForm } from "../../../src/decode/kernel/copy.ts";
import { gapsOf } from "../../../src/decode/member-gaps.ts";
import {
  bytesBinary,
  dateBinary,
  decimalBinary,
  doubleBinary,
  jsonbBinary,
  momentBinary,
  plainBinary,
  shortTextBinary,
  singleBinary,
  textBinary,
  timeBinary,
  zonedMomentBinary,
} from "../../../src/decode/types/binary-forms.ts";
import { whereabouts } from "../../support/kernel-bytes.ts";

const [, put, dataThere] = whereabouts[1] ?? expect.fail();

/** A row of COPY's binary format, as PostgreSQL documents it. */
function readRow(bytes: Buffer): (Buffer | null)[] {
  let at = 0;
  const next = (length: number): Buffer => bytes.subarray(at, (at += length));
  const values = Array.from({ length: next(2).readInt16BE() }, () => {
    const length = next(4).readInt32BE();
    return length < 0 ? null : next(length);
  });
  expect(at).toBe(bytes.length);
  return values;
}

const signature = Buffer.from("PGCOPY\n\xff\r\n\0", "latin1");

/** The rows' values, the position's last; undefined: refused. */
function rowsOf(
  names: readonly string[],
  forms: readonly (BinaryForm | undefined)[],
  jsons: readonly string[],
  position = 7n,
): (Buffer | null)[] | undefined {
  const plan = binaryPlan(forms, gapsOf(names)) ?? expect.fail();
  const data = dataThere();
  const text = jsons.join("");
  const bytes = put(Buffer.from(text));
  let end = 0;
  const rows = jsons.map((json) => {
    const start = end;
    end += Buffer.byteLength(json);
    return { bytes, start, end, position };
  });
  if (!copyBinary(rows, plan, data)) return undefined;
  const all = data.bytes.subarray(0, data.length);
  expect(all.subarray(0, 11)).toEqual(signature);
  expect(all.subarray(11, 19)).toEqual(Buffer.alloc(8));
  expect(all.subarray(-2)).toEqual(Buffer.from([0xff, 0xff]));
  return readRow(Buffer.from(all.subarray(19, -2)));
}

/** Of a member of that JSON; undefined: refused. */
function one(json: string, form: BinaryForm): Buffer | null | undefined {
  const values = rowsOf(["a"], [form], [`{"a":${json}}`]);
  if (values === undefined) return undefined;
  expect(values).toHaveLength(2);
  expect(values[1]?.readBigInt64BE()).toBe(7n);
  return values[0];
}

function formOf(name: string): BinaryForm {
  const type = { name, sql: name, kind: "base", schemaSql: "pg_catalog", element: undefined } as const;
  return plainBinary(type) ?? expect.fail(name);
}

/** What PostgreSQL's numeric_recv makes of the digits of ten thousand each. */
function decimalOf(bytes: Buffer): string {
  const [count, weight, sign, places] = [0, 2, 4, 6].map((at) => bytes.readInt16BE(at));
  if (count === undefined || weight === undefined || places === undefined) return expect.fail();
  expect(bytes).toHaveLength(8 + count * 2);
  let scaled = 0n;
  for (let index = 0; index < count; index++) {
    const digit = bytes.readInt16BE(8 + index * 2);
    expect(digit).toBeGreaterThanOrEqual(0);
    expect(digit).toBeLessThan(10_000);
    // In units of the place behind the last that there can be.
    scaled += BigInt(digit) * 10n ** BigInt((weight - index + 300) * 4);
  }
  const text = (scaled / 10n ** BigInt(1_200 - places)).toString().padStart(places + 1, "0");
  expect(scaled % 10n ** BigInt(1_200 - places)).toBe(0n);
  const whole = text.slice(0, text.length - places);
  return `${sign === 0x4000 ? "-" : ""}${whole}${places === 0 ? "" : `.${text.slice(-places)}`}`;
}

const escaped = (text: string): string =>
  `"${Array.from({ length: text.length }, (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`).join("")}"`;

describe("values in COPY's binary format", () => {
  it("are the text of strings, whatever is escaped", () => {
    const texts = fc.string({ unit: "binary", maxLength: 80 }).filter((text) => !text.includes("\0"));
    fc.assert(
      fc.property(texts, (text) => {
        const bytes = Buffer.from(text);
        expect(one(JSON.stringify(text), textBinary)).toEqual(bytes);
        expect(one(escaped(text), textBinary)).toEqual(bytes);
        expect(one(JSON.stringify(text), jsonbBinary)).toEqual(Buffer.concat([Buffer.from([1]), bytes]));
      }),
      {
        numRuns: 2_000,
        examples: [['"\\/\b\f\n\r\t'], ["é😀\u{10ffff}\uffff\u07ff\u0800"], ["x".repeat(5_000)]],
      },
    );
    expect(one('"a\\/b"', textBinary)).toEqual(Buffer.from("a/b"));
  });

  it("are whole numbers of two, four and eight bytes, and none beyond", () => {
    const sizes = { int2: 16n, int4: 32n, int8: 64n } as const;
    const numbers = fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n });
    fc.assert(
      fc.property(
        fc.oneof(
          numbers,
          fc.bigInt({ min: -70_000n, max: 70_000n }),
          fc.bigInt({ min: -(2n ** 33n), max: 2n ** 33n }),
        ),
        (number) => {
          for (const [name, bits] of Object.entries(sizes)) {
            const fits = BigInt.asIntN(Number(bits), number) === number;
            const bytes = Buffer.alloc(8);
            bytes.writeBigInt64BE(BigInt.asIntN(64, number));
            const expected = fits ? bytes.subarray(8 - Number(bits) / 8) : undefined;
            expect(one(String(number), formOf(name))).toEqual(expected);
            expect(one(`"${number}"`, formOf(name))).toEqual(expected);
          }
        },
      ),
      {
        numRuns: 2_000,
        examples: [
          [32_767n],
          [32_768n],
          [-32_768n],
          [-32_769n],
          [2n ** 31n],
          [-(2n ** 31n)],
          [2n ** 63n - 1n],
          [-(2n ** 63n)],
        ],
      },
    );
  });

  it("are decimals with all of their digits", () => {
    const digits = (maxLength: number) =>
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength }).map((each) => each.join(""));
    const decimals = fc.tuple(fc.boolean(), digits(40), fc.option(digits(40), { nil: undefined }));
    fc.assert(
      fc.property(decimals, ([negative, whole, fraction]) => {
        const text = `${negative ? "-" : ""}${whole}${fraction === undefined ? "" : `.${fraction}`}`;
        const plain = text.replace(/^(-?)0+(?=\d)/, "$1");
        const value = one(`"${text}"`, decimalBinary(undefined));
        expect(value && decimalOf(value)).toBe(plain);
        expect(one(plain, decimalBinary(undefined))).toEqual(value);
        const scale = fraction?.length ?? 0;
        expect(one(`"${text}"`, decimalBinary(scale))).toEqual(value);
        if (scale > 0) expect(one(`"${text}"`, decimalBinary(scale - 1))).toBeUndefined();
      }),
      {
        numRuns: 2_000,
        examples: [[[true, "0", "00001"]], [[false, "10000", "00010000"]], [[false, "000", undefined]]],
      },
    );
  });

  it("are moments to the microsecond", () => {
    const day = 86_400_000_000n;
    const micros = fc.bigInt({ min: -719_162n * day, max: 2_932_897n * day - 1n });
    const since2000 = 946_684_800_000_000n;
    const iso = (value: bigint): string => {
      const rest = ((value % 1_000_000n) + 1_000_000n) % 1_000_000n;
      const seconds = new Date(Number((value - rest) / 1000n)).toISOString().slice(0, 19);
      return `${seconds}${rest === 0n ? "" : `.${String(rest).padStart(6, "0").replace(/0+$/, "")}`}Z`;
    };
    fc.assert(
      fc.property(micros, (value) => {
        expect(one(String(value), momentBinary)?.readBigInt64BE()).toBe(value - since2000);
        expect(one(`"${iso(value)}"`, zonedMomentBinary)?.readBigInt64BE()).toBe(value - since2000);
        const days = Number((value - (((value % day) + day) % day)) / day);
        expect(one(String(days), dateBinary)?.readInt32BE()).toBe(days - 10_957);
        const time = ((value % day) + day) % day;
        expect(one(String(time), timeBinary)?.readBigInt64BE()).toBe(time);
      }),
      { numRuns: 2_000, examples: [[0n], [-1n], [-719_162n * day], [2_932_897n * day - 1n]] },
    );
  });

  it("are moments of every day that there is, and of no other", () => {
    for (const year of [1, 4, 100, 1900, 2000, 2023, 2024, 2100, 2400, 9999])
      for (let month = 1; month <= 12; month++)
        for (let day = 0; day <= 32; day++) {
          const text = [
            String(year).padStart(4, "0"),
            String(month).padStart(2, "0"),
            String(day).padStart(2, "0"),
          ];
          const moment = new Date(`${text.join("-")}T12:00:00Z`);
          const exists = moment.getUTCDate() === day && moment.getUTCMonth() + 1 === month;
          const micros = BigInt(moment.getTime() || 0) * 1_000n - 946_684_800_000_000n;
          const value = one(`"${text.join("-")}T12:00:00Z"`, zonedMomentBinary);
          expect(value?.readBigInt64BE()).toBe(exists ? micros : undefined);
        }
  });

  it("are the nearest doubles, and floats where those are exact", () => {
    fc.assert(
      fc.property(fc.double(), (number) => {
        const json = Number.isFinite(number) ? JSON.stringify(number) : `"${number}"`;
        const whole = /^-?\d+$/.test(json) && json.replace("-", "").length > 15;
        const bytes = one(json, doubleBinary);
        if (whole) expect(bytes).toBeUndefined();
        else expect(Object.is(bytes?.readDoubleBE(), json === "0" ? 0 : number)).toBe(true);
      }),
      {
        numRuns: 5_000,
        examples: [[0.30000000000000004], [5e-324], [1.7976931348623157e308], [-Infinity], [Number.NaN]],
      },
    );
    const short = fc.tuple(fc.integer({ min: -9_999, max: 9_999 }), fc.integer({ min: 0, max: 4 }));
    fc.assert(
      fc.property(short, ([digits, places]) => {
        const json = (digits / 10 ** places).toFixed(places);
        fc.pre(json.length <= 6);
        expect(one(json, singleBinary)?.readFloatBE()).toBe(Math.fround(Number(json)));
      }),
      { numRuns: 2_000 },
    );
    expect(one("-0.0", doubleBinary)).toEqual(Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0]));
  });

  it("are bytes and UUIDs", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uuid(), (bytes, uuid) => {
        expect(one(`"${Buffer.from(bytes).toString("base64")}"`, bytesBinary)).toEqual(Buffer.from(bytes));
        const expected = Buffer.from(uuid.replaceAll("-", ""), "hex");
        expect(one(`"${uuid}"`, formOf("uuid"))).toEqual(expected);
        expect(one(`"${uuid.toUpperCase()}"`, formOf("uuid"))).toEqual(expected);
      }),
    );
  });

  it("are booleans, nulls and short text", () => {
    expect(one("true", formOf("bool"))).toEqual(Buffer.from([1]));
    expect(one("false", formOf("bool"))).toEqual(Buffer.from([0]));
    expect(one('"ä!"', shortTextBinary(3))).toEqual(Buffer.from("ä!"));
    expect(one("12.5e3", textBinary)).toEqual(Buffer.from("12.5e3"));
    const forms = [
      textBinary,
      jsonbBinary,
      zonedMomentBinary,
      momentBinary,
      dateBinary,
      bytesBinary,
      doubleBinary,
    ];
    for (const form of [...forms, decimalBinary(2), shortTextBinary(0), formOf("bool"), formOf("int8")])
      expect(one("null", form)).toBeNull();
  });

  it.each<[string, string, BinaryForm]>([
    ["an object", '{"b":1}', textBinary],
    ["an array", "[1]", jsonbBinary],
    ["a zero character", '"\\u0000"', textBinary],
    ["half of a pair", '"\\ud83d"', textBinary],
    ["the other half of a pair", '"\\ude00x"', textBinary],
    ["no hexadecimal digits", '"\\u00zz"', textBinary],
    ["an unknown escape", '"\\x"', textBinary],
    ["text that may be too long", '"abcd"', shortTextBinary(3)],
    ["a fraction", "1.0", formOf("int4")],
    ["an exponent", "1e3", formOf("int8")],
    ["a number that is one too large", "9223372036854775808", formOf("int8")],
    ["a number that is one too small", "-9223372036854775809", formOf("int8")],
    ["a sign alone", '"-"', formOf("int8")],
    ["no digits", '""', formOf("int8")],
    ["blanks around a number", '" 1"', formOf("int8")],
    ["a boolean in a string", '"true"', formOf("bool")],
    ["a number for a boolean", "1", formOf("bool")],
    ["the name of no number", '"NAN"', decimalBinary(undefined)],
    ["a decimal with an exponent", '"1E+5"', decimalBinary(undefined)],
    ["a decimal with two points", '"1.2.3"', decimalBinary(undefined)],
    ["a decimal without a whole part", '".5"', decimalBinary(undefined)],
    ["a decimal without a fraction", '"5."', decimalBinary(undefined)],
    ["a decimal beyond every column", `"${"9".repeat(1_001)}"`, decimalBinary(undefined)],
    ["an endless moment", '"infinity"', zonedMomentBinary],
    ["a moment of the year 0", '"0000-03-15T10:00:00Z"', zonedMomentBinary],
    ["a moment after the year 9999", '"+10000-01-01T00:00:00Z"', zonedMomentBinary],
    ["a day that there is not", '"2023-02-29T10:00:00Z"', zonedMomentBinary],
    ["a day that only some centuries have", '"1900-02-29T10:00:00Z"', zonedMomentBinary],
    ["a thirteenth month", '"2023-13-01T10:00:00Z"', zonedMomentBinary],
    ["a leap second", '"2023-12-31T23:59:60Z"', zonedMomentBinary],
    ["another zone", '"2023-12-31T23:59:59+01:00"', zonedMomentBinary],
    ["more digits than microseconds", '"2023-12-31T23:59:59.1234567Z"', zonedMomentBinary],
    ["a point without digits", '"2023-12-31T23:59:59.Z"', zonedMomentBinary],
    ["an endless timestamp", "9223372036825200000", momentBinary],
    ["a timestamp of the year 10000", "253402300800000000", momentBinary],
    ["a timestamp before Christ", "-62135596800000001", momentBinary],
    ["an endless date", "-2147472692", dateBinary],
    ["the date behind the last", "2932897", dateBinary],
    ["no time of a day", "86400000001", timeBinary],
    ["a time below zero", "-1", timeBinary],
    ["a UUID without hyphens", '"b68a35a717ad35b3af2aae46edb4545a"', formOf("uuid")],
    ["a short UUID", '"b68a35a7-17ad-35b3-af2a-ae46edb4545"', formOf("uuid")],
    ["a UUID of other letters", '"g68a35a7-17ad-35b3-af2a-ae46edb4545a"', formOf("uuid")],
    ["base64 that is cut", '"3q2"', bytesBinary],
    ["padding in its midst", '"3q==7w=="', bytesBinary],
    ["what is no base64", '"3q2-7w=="', bytesBinary],
    ["a whole number that a double may round", "1234567890123456", doubleBinary],
    ["a number in a string", '"1.5"', doubleBinary],
    ["another name of no number", '"NaNa"', doubleBinary],
    ["a number too large", "1e999", doubleBinary],
    ["a number of which nothing is left", "1e-999", doubleBinary],
    ["what only looks like a number", "1-2", doubleBinary],
    ["a float that may be rounded", "1.2345678", singleBinary],
    ["a float with an exponent", "1e5", singleBinary],
  ])("%s is refused", (_, json, form) => {
    expect(one(json, form)).toBeUndefined();
  });
});

describe("rows in COPY's binary format", () => {
  it("leave out members without a form, and end with the position", () => {
    const forms = [formOf("int4"), undefined, textBinary];
    const json = '{"a":1,"b":{"c":["}",2]},"d":"x"}';
    const position = 2n ** 63n - 1n;
    const values = rowsOf(["a", "b", "d"], forms, [json], position);
    expect(values?.map((value) => value?.toString("hex"))).toEqual(["00000001", "78", "7fffffffffffffff"]);
  });

  it("are not made of white space, of another kind of memory, nor where one is refused", () => {
    expect(rowsOf(["a"], [textBinary], ['{ "a": "x" }'])).toBeUndefined();
    expect(rowsOf(["a"], [formOf("int4")], ['{"a":1}', '{"a":1.5}'])).toBeUndefined();
    const json = Buffer.from('{"a":1}');
    const row = { bytes: json, start: 0, end: json.length, position: 1n };
    const plan = binaryPlan([formOf("int4")], gapsOf(["a"])) ?? expect.fail();
    expect(copyBinary([row], plan, dataThere())).toBe(false);
    const placed = { ...row, bytes: put(json) };
    expect(copyBinary([placed], plan, new CopyData())).toBe(false);
    expect(copyBinary([placed], plan, dataThere())).toBe(true);
  });

  it("are not made of images that end in the midst of a value", () => {
    const json = '{"a":"xyz","b":123}';
    const bytes = put(Buffer.from(json));
    const plan = binaryPlan([textBinary, textBinary], gapsOf(["a", "b"])) ?? expect.fail();
    const made = (end: number): boolean =>
      copyBinary([{ bytes, start: 0, end, position: 1n }], plan, dataThere());
    expect(made(json.length)).toBe(true);
    for (let end = 0; end < json.length - 1; end++) expect(made(end)).toBe(false);
  });
});
