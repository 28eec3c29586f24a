import fc from "fast-check";
import { expect, it } from "vitest";
import { entriesOf, type Entries } from "../../../src/decode/entries.ts";
import { BufferPool } from "../../../src/source/buffer-pool.ts";
import { readEntries } from "../../../src/source/read-entries.ts";
import { ReplyCursor, ReplyScanner } from "../../../src/source/reply-scanner.ts";

interface Model {
  readonly id: string;
  readonly fields: readonly string[];
}

const modelsOf = (fewest: number, most: number): fc.Arbitrary<Model[]> =>
  fc.array(
    fc.record({
      id: fc.tuple(fc.nat(), fc.nat()).map(([ms, sequence]) => `${ms}-${sequence}`),
      fields: fc.array(fc.string({ unit: "binary" }), { minLength: fewest, maxLength: most }),
    }),
    { maxLength: 6 },
  );

/** Any, or of two fields all of them. */
const model = fc.oneof(modelsOf(0, 6), modelsOf(4, 4));

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
function replied(entries: readonly Model[], memory: Buffer = Buffer.alloc(0)): Entries {
  const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
  const scanner = new ReplyScanner(1, memory);
  const each = entries.map(
    ({ id, fields }) => `*2\r\n${bulk(id)}*${fields.length}\r\n${fields.map(bulk).join("")}`,
  );
  scanner.push(Buffer.from(`*${entries.length}\r\n${each.join("")}`));
  return readEntries(new ReplyCursor(scanner));
}

const place = new BufferPool(1).take(1);

/** Two at a time: what was put there before must not be taken for it. */
function repliedThere(entries: readonly Model[]): Entries {
  replied(entries.concat(entries), place);
  return replied(entries, place);
}

function made(entries: readonly Model[]): Entries {
  return entriesOf(
    entries.map(({ id, fields }) => ({ id, fields: fields.map((each) => Buffer.from(each)) })),
  );
}

it.each([
  ["a reply", (entries: readonly Model[]) => replied(entries)],
  ["a reply in the kernel's memory", repliedThere],
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

it("says where usual entries stand in the kernel's memory, and of which others it does not", () => {
  const usual = Array.from({ length: 3 }, (_, index) => ({
    id: `1-${index}`,
    fields: ["key", "a", "value", "b"],
  }));
  const entries = repliedThere(usual);
  expect(entries.addressOf(0)).toBeGreaterThan(0);
  expect(entries.addressOf(2) - entries.addressOf(0)).toBe(80);
  expect(entries.slice(1).addressOf(1)).toBe(entries.addressOf(2));
  expect(repliedThere([...usual, { id: "2-0", fields: ["key", "a"] }]).addressOf(0)).toBe(-1);
  expect(made(usual).addressOf(0)).toBe(-1);
  expect(replied(usual).addressOf(0)).toBe(-1);
});
