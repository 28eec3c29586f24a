import { expect, test } from "vitest";
import { workOf } from "../../src/batch/work.ts";
import type { Change } from "../../src/change/change.ts";
import { SluiceError } from "../../src/errors/sluice-error.ts";
import { addTables, ReplayTally, type TableOutcome } from "../../src/sink/replay-tally.ts";
import { change, columnType, plan, readTable } from "../support/plans.ts";

const docs = readTable("public.docs", { id: columnType("int4", "integer"), body: columnType("text") });

function update(id: number): Change {
  return change(docs, "u", id, { id });
}

function step(own: Partial<TableOutcome>): TableOutcome {
  return { table: "public.docs", written: 0, stale: 0, partial: 0, settled: [], unknown: [], ...own };
}

function unknown(id: number): TableOutcome {
  return step({ unknown: [{ work: workOf(update(id), plan(docs)), code: "LARGE_VALUE_UNKNOWN" }] });
}

function add(tally: ReplayTally, steps: readonly TableOutcome[], changes: readonly Change[] = []): void {
  tally.add({ changes, folded: new Map(), steps, leftOut: [] }, ({ position }) => `${position}-0`);
}

test("a row stays unknown until a later change brings or removes it", () => {
  const tally = new ReplayTally();
  add(tally, [unknown(1), unknown(2), unknown(3), unknown(2)]);
  add(tally, [step({ written: 1, settled: ['{"id":1}'] })]);
  expect(tally.result()).toMatchObject({
    unknownRows: [{ table: "public.docs", code: "LARGE_VALUE_UNKNOWN", rows: 2, firstId: "2-0" }],
    tables: [{ table: "public.docs", written: 1, unknown: 2 }],
  });
  add(tally, [step({ settled: ['{"id":2}', '{"id":3}'] })]);
  expect(tally.result().unknownRows).toEqual([]);
});

test("changes are counted by operation; what became of them by row", () => {
  const tally = new ReplayTally();
  tally.read(4, [{ reason: "tombstone" }]);
  add(tally, [step({ written: 2, stale: 1 })], [update(1), update(2), change(docs, "d", 3, { id: 3 })]);
  const result = tally.result();
  expect(result).toMatchObject({ entries: 4, skipped: { tombstone: 1 } });
  expect(result.tables).toMatchObject([{ updates: 2, deletes: 1, inserts: 0, written: 2, stale: 1 }]);
});

test("entries that were left out are grouped by reason and table, with the first and the last", () => {
  const tally = new ReplayTally();
  const missing = new SluiceError("TABLE_MISSING", "no table", { place: { table: "public.x" } });
  for (const id of ["1-0", "2-0", "5-0"]) tally.leaveOut(id, missing);
  tally.leaveOut("3-0", new SluiceError("ENTRY_NOT_DEBEZIUM", "no fields"));
  expect(tally.result().leftOut).toMatchObject([
    { code: "TABLE_MISSING", table: "public.x", entries: 3, firstId: "1-0", lastId: "5-0" },
    { code: "ENTRY_NOT_DEBEZIUM", table: null, entries: 1, firstId: "3-0", lastId: "3-0" },
  ]);
});

test("tables of several streams are added up", () => {
  const [one, two] = [new ReplayTally(), new ReplayTally()];
  add(one, [step({ written: 2 }), unknown(1)]);
  add(two, [step({ written: 3, stale: 1 })]);
  expect(addTables([one.result().tables, two.result().tables])).toMatchObject([
    { table: "public.docs", written: 5, stale: 1, unknown: 1 },
  ]);
});
