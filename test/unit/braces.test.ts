import { expect, test } from "vitest";
import { expandList } from "../../src/config/braces.ts";

test("ranges, lists and commas expand in order", () => {
  expect(expandList("cdc.{0..2}")).toEqual(["cdc.0", "cdc.1", "cdc.2"]);
  expect(expandList("cdc.{a,b}, other")).toEqual(["cdc.a", "cdc.b", "other"]);
  expect(expandList("g{1..2}.{x,y}")).toEqual(["g1.x", "g1.y", "g2.x", "g2.y"]);
  expect(expandList("")).toEqual([]);
});

test.each(["cdc.{0..", "cdc.0}", "cdc.{3..1}", "cdc.{a}", "cdc.{{0..1}}", "cdc.{0..999999}", "cdc.{,}"])(
  "%s is refused with a reason",
  (text) => {
    expect(() => expandList(text)).toThrow(/\S/);
  },
);
