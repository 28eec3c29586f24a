import fc from "fast-check";
import { expect, it } from "vitest";
import { hashOf, KeyIndex } from "../../../src/batch/key-index.ts";
import { workOf, type Work } from "../../../src/batch/work.ts";
import { change, columnType, plan, readTable } from "../../support/plans.ts";

const tables = ["public.a", "public.b", "other.a"].map((id) => readTable(id, { id: columnType("int8") }));

const puts = fc.array(
  fc.record({ table: fc.nat(2), id: fc.nat(200), op: fc.constantFrom("c" as const, "d" as const) }),
  { maxLength: 600 },
);

function work(table: number, id: number, op: "c" | "d", position: number): Work {
  const own = tables[table] ?? tables[0];
  if (own === undefined) throw new Error("no table");
  return workOf(change(own, op, position, { id }), plan(own));
}

it.each([
  ["their hashes", hashOf],
  ["few hashes for all", (each: Work) => hashOf(each) & 3],
])("keeps the newest work of each key of each table, whatever is done to the row: by %s", (_, hash) => {
  fc.assert(
    fc.property(puts, (all) => {
      const index = new KeyIndex();
      const model = new Map<string, Work>();
      for (const [position, { table, id, op }] of all.entries()) {
        const each = work(table, id, op, position);
        const key = `${table} ${id}`;
        expect(index.find(each, hash(each))).toBe(model.get(key));
        index.put(each, hash(each));
        model.set(key, each);
      }
      expect(index.works).toEqual([...model.values()]);
    }),
    { numRuns: 100 },
  );
});
