import fc from "fast-check";
import { expect, it } from "vitest";
import { FixedText } from "../../../src/decode/fixed-text.ts";
import { TextTree } from "../../../src/decode/text-tree.ts";

const text = fc.string({ unit: fc.constantFrom("a", "b", "c", '"'), maxLength: 6 });

it("finds every text by its own bytes, and keeps one of each", () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 60 }), text, (texts, other) => {
      const tree = new TextTree<{ readonly text: FixedText }>();
      const known = new Map<string, unknown>();
      for (const each of texts) {
        const made = new FixedText(Buffer.from(each));
        const entry = tree.get(made, () => ({ text: made }));
        expect(entry).toBe(known.get(each) ?? entry);
        known.set(each, entry);
      }
      // What follows a text is no part of it, unless a longer one goes on like that.
      for (const each of new Set(texts))
        expect(tree.candidate(Buffer.from(`-${each}.`), 1)).toBe(known.get(each));
      const candidate = tree.candidate(Buffer.from(`${other}.`), 0);
      if (known.has(other)) expect(candidate).toBe(known.get(other));
    }),
    { numRuns: 1000 },
  );
});
