import fc from "fast-check";
import { expect, it } from "vitest";
import { PlaceholderSearch } from "../../../src/batch/placeholder-search.ts";
import { workOf } from "../../../src/batch/work.ts";
import { Change } from "../../../src/change/change.ts";
import { change, columnType, plan, readTable } from "../../support/plans.ts";

const table = readTable("public.docs", {
  id: columnType("int8"),
  body: columnType("text"),
  file: columnType("bytea"),
});
const shape = plan(table);
const left = "__debezium_unavailable_value";
const value = fc.oneof(
  fc.constantFrom(left, Buffer.from(left).toString("base64"), "_", `${left}x`, ""),
  fc.string(),
);
const rows = fc.array(fc.record({ op: fc.constantFrom("c", "u", "d"), body: value, file: value }), {
  minLength: 1,
});

/** As decoding gives them: all in one buffer. */
function ofOneRead(changes: readonly Change[]): Change[] {
  const bytes = Buffer.concat(changes.map((each) => each.bytes));
  let begun = 0;
  return changes.map((each) => {
    const by = begun;
    begun += each.bytes.length;
    const [keyStart, keyEnd] = [each.keyStart + by, each.keyEnd + by];
    const hasImage = each.imageStart >= 0;
    const [imageStart, imageEnd] = hasImage ? [each.imageStart + by, each.imageEnd + by] : [-1, -1];
    return new Change({ ...each, bytes, keyStart, keyEnd, imageStart, imageEnd, link: undefined });
  });
}

it("finds the columns that an update leaves out as a look into each image does, wherever they stand in a read", () => {
  fc.assert(
    fc.property(rows, fc.boolean(), (each, together) => {
      const own = each.map(({ op, ...row }, id) => change(table, op, 1, { id, ...row }));
      const changes = together ? ofOneRead(own) : own;
      const search = new PlaceholderSearch(changes);
      for (const one of changes) expect(workOf(one, shape, search).absent).toEqual(workOf(one, shape).absent);
    }),
    { numRuns: 1000 },
  );
});

it("says so where nothing is left out", () => {
  const changes = ofOneRead([1, 2, 3].map((id) => change(table, "u", 1, { id, body: "text", file: "AAAA" })));
  expect(new PlaceholderSearch(changes).mayHold(shape)).toBe(false);
  const other = ofOneRead([change(table, "u", 1, { id: 4, body: left, file: "" })]);
  expect(new PlaceholderSearch(other).mayHold(shape)).toBe(true);
});
