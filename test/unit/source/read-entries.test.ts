import fc from "fast-check";
import { expect, it } from "vitest";
import { entriesOf, type Entries } from "../../../src/decode/entries.ts";
import { readEntries } from "../../../src/source/read-entries.ts";
import { ReplyCursor, ReplyScanner } from "../../../src/source/reply-scanner.ts";

interface Model {
  readonly id: string;
  readonly fields: readonly string[];
}

const model: fc.Arbitrary<Model[]> = fc.array(
  fc.record({
    id: fc.tuple(fc.nat(), fc.nat()).map(([ms, sequence]) => `${ms}-${sequence}`),
    fields: fc.array(fc.string({ unit: "binary" }), { maxLength: 6 }),
  }),
  { maxLength: 6 },
);

function contents(entries: Entries): Model[] {
  return Array.from({ length: entries.length }, (_, index) => ({
    id: entries.idOf(index),
    fields: Array.from({ length: entries.partsOf(index) }, (_unused, part) =>
      entries.buffer.toString("utf8", entries.startOf(index, part), entries.endOf(index, part)),
    ),
  }));
}

function bytesOf(entries: readonly Model[]): number {
  return Buffer.byteLength(entries.flatMap(({ fields }) => fields).join(""));
}

/** Of a reply of Redis. */
function replied(entries: readonly Model[]): Entries {
  const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
  const scanner = new ReplyScanner(1);
  const each = entries.map(
    ({ id, fields }) => `*2\r\n${bulk(id)}*${fields.length}\r\n${fields.map(bulk).join("")}`,
  );
  scanner.push(Buffer.from(`*${entries.length}\r\n${each.join("")}`));
  return readEntries(new ReplyCursor(scanner));
}

function made(entries: readonly Model[]): Entries {
  return entriesOf(
    entries.map(({ id, fields }) => ({ id, fields: fields.map((each) => Buffer.from(each)) })),
  );
}

it.each([
  ["a reply", replied],
  ["buffers", made],
])("gives what %s has of each entry: id, names and values, bytes; of a slice too", (_, make) => {
  fc.assert(
    fc.property(model, fc.nat(6), fc.nat(6), (all, one, other) => {
      const entries = make(all);
      expect(contents(entries)).toEqual(all);
      expect([entries.lastId, entries.bytesOf()]).toEqual([all.at(-1)?.id, bytesOf(all)]);
      const [from = 0, to = 0] = [one, other].map((each) => Math.min(each, all.length)).sort((a, b) => a - b);
      const slice = entries.slice(from, to);
      expect(contents(slice)).toEqual(all.slice(from, to));
      expect(slice.bytesOf()).toBe(bytesOf(all.slice(from, to)));
      expect(entries.bytesOf(from, to)).toBe(slice.bytesOf());
      expect(() => slice.idOf(slice.length)).toThrow(RangeError);
    }),
  );
});
