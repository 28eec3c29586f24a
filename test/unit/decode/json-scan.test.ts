import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memberName, members, skipString, skipValue } from "../../../src/decode/json-scan.ts";

describe("members", () => {
  it("finds the names and the exact text of the values of any object", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()),
        fc.boolean(),
        (object, spaced) => {
          const text = JSON.stringify(object, undefined, spaced ? 2 : undefined);
          const bytes = Buffer.from(text);
          const found = members(bytes).map((member) => [
            memberName(bytes, member),
            JSON.parse(bytes.toString("utf8", member.valueStart, member.valueEnd)) as unknown,
          ]);
          expect(found).toEqual(Object.entries(JSON.parse(text) as object));
        },
      ),
    );
  });

  it("throws on every proper prefix of an object instead of reading past the end", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), { minKeys: 1, maxKeys: 4 }),
        (object) => {
          const bytes = Buffer.from(JSON.stringify(object));
          for (let end = 0; end < bytes.length; end++)
            expect(() => members(bytes.subarray(0, end))).toThrow();
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("skipString", () => {
  it("finds the end of strings of any length and with any run of backslashes", () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(9), fc.nat(200), (before, backslashes, after) => {
        const text = JSON.stringify(`${"x".repeat(before)}${"\\".repeat(backslashes)}"${"y".repeat(after)}`);
        const bytes = Buffer.from(`${text},"next"`);
        expect(skipString(bytes, 0)).toBe(text.length);
      }),
    );
  });
});

describe("skipValue", () => {
  it("throws where a value is missing", () => {
    expect(() => skipValue(Buffer.from(",1"), 0)).toThrow("missing");
    expect(() => skipValue(Buffer.from("[1,[2]"), 0)).toThrow("does not end");
  });
});
