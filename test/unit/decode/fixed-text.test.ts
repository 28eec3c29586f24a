import fc from "fast-check";
import { expect, it } from "vitest";
import { FixedText, viewOf } from "../../../src/decode/fixed-text.ts";

it("stands where its bytes are, and nowhere else, whatever byte differs and wherever the bytes end", () => {
  const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 });
  const other = fc.option(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })));
  fc.assert(
    fc.property(text, fc.nat(9), fc.nat(9), other, (own, before, behind, change) => {
      const bytes = Buffer.from(own);
      const there = Buffer.from(bytes);
      if (change !== null) there[change[0] % there.length] = change[1];
      const all = Buffer.concat([Buffer.alloc(before, 0x2c), there, Buffer.alloc(behind, 0x7d)]);
      const fixed = new FixedText(bytes);
      const view = viewOf(all);
      expect(fixed.standsAt(all, view, before, all.length)).toBe(bytes.equals(there));
      expect(fixed.standsAt(all, view, before, before + bytes.length - 1)).toBe(false);
    }),
    { numRuns: 2000 },
  );
});
