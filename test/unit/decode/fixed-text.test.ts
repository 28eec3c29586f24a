import fc from "fast-check";
import { expect, it } from "vitest";
import { FixedText, TextAround, viewOf } from "../../../src/decode/fixed-text.ts";

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

it("stands around its values where every other byte is its own, whatever the values are", () => {
  const part = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
  const other = fc.option(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(part, part), { minLength: 1, maxLength: 6 }),
      part,
      fc.nat(9),
      other,
      (pairs, last, before, change) => {
        const texts: Buffer[] = [];
        const values: { start: number; end: number }[] = [];
        let length = 0;
        const put = (text: string): number =>
          (length += texts[texts.push(Buffer.from(text)) - 1]?.length ?? 0);
        for (const [text, value] of pairs) values.push({ start: put(text), end: put(value) });
        put(last);
        const own = Buffer.concat(texts);
        const around = new TextAround(own, values);
        const there = Buffer.from(own);
        for (const { start, end } of values) there.fill(0x39, start, end);
        const changed = change === null ? -1 : change[0] % there.length;
        if (change !== null) there[changed] = change[1];
        const isValue = values.some(({ start, end }) => changed >= start && changed < end);
        const same = change === null || isValue || there[changed] === own[changed];
        expect(around.standsAt(Buffer.concat([Buffer.alloc(before, 0x2c), there]), before)).toBe(same);
      },
    ),
    { numRuns: 2000 },
  );
});
