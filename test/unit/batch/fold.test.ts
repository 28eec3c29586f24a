import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fold } from "../../../src/batch/fold.ts";
import { workOf, type Work } from "../../../src/batch/work.ts";
import type { Operation } from "../../../src/change/change.ts";
import { change, columnType, plan, readTable } from "../../support/plans.ts";

const table = readTable("public.t", {
  id: columnType("int4"),
  v: columnType("int4"),
  big: columnType("text"),
});
const shape = plan(table);
const unavailable = "__debezium_unavailable_value";

interface Row {
  position: bigint;
  values: Readonly<Record<string, unknown>>;
}

/** What the statements do, on maps: the guard, tombstones and unchanged large values. */
class ModelDatabase {
  readonly rows = new Map<string, Row>();
  readonly tombstones = new Map<string, bigint>();
  truncated = -1n;

  write(work: Work): void {
    const key = work.change.key ?? "";
    const row = this.rows.get(key);
    const values =
      work.image.length === 0 ? {} : (JSON.parse(work.image.toString()) as Record<string, unknown>);
    if (work.kind === "truncate") this.truncate(work.position);
    else if (work.kind === "delete") this.remove(key, row, work.position);
    else if (row !== undefined && row.position > work.position) return;
    else if (work.kind === "partial") {
      if (row === undefined) return;
      const kept = Object.fromEntries([...work.absent].map((name) => [name, row.values[name]]));
      this.rows.set(key, { position: work.position, values: { ...values, ...kept } });
    } else if ((this.tombstones.get(key) ?? -1n) <= work.position && this.truncated <= work.position) {
      this.rows.set(key, { position: work.position, values });
    }
  }

  private remove(key: string, row: Row | undefined, position: bigint): void {
    if (row !== undefined && row.position <= position) this.rows.delete(key);
    if ((this.tombstones.get(key) ?? -1n) < position) this.tombstones.set(key, position);
  }

  private truncate(position: bigint): void {
    for (const [key, row] of this.rows) if (row.position < position) this.rows.delete(key);
    this.truncated = position;
  }
}

function workFrom(op: Operation, position: number, id: number, value: number, lacksBig: boolean): Work {
  const row = { id, v: value, big: lacksBig && op === "u" ? unavailable : `big ${value}` };
  const made = change(table, op, position, row);
  return workOf(op === "t" ? { ...made, key: undefined, image: undefined } : made, shape);
}

const operation = fc.record({
  op: fc.constantFrom<Operation>("c", "u", "u", "u", "d", "t"),
  id: fc.integer({ min: 1, max: 3 }),
  lacksBig: fc.boolean(),
  /** How far back the position jumps: an older change that was appended late, or again. */
  late: fc.oneof(
    { weight: 4, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 3 }) },
  ),
});

/** Each operation is what a table could log: inserts of rows that are not there, updates and deletes of those that are. */
function history(steps: readonly { op: Operation; id: number; lacksBig: boolean; late: number }[]): Work[] {
  const alive = new Set<number>();
  const works: Work[] = [];
  steps.forEach(({ op, id, lacksBig, late }, index) => {
    const again = late > 0 ? works[works.length - late] : undefined;
    if (again !== undefined) works.push(again);
    if (op === "t") alive.clear();
    const real = op === "t" ? "t" : alive.has(id) ? (op === "c" ? "u" : op) : "c";
    if (real === "d") alive.delete(id);
    else if (real !== "t") alive.add(id);
    works.push(workFrom(real, index * 10 + 10, id, index, lacksBig));
  });
  return works;
}

describe("fold", () => {
  it("leaves the database as if every change had been written by itself (I4, I5)", () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (steps) => {
        const works = history(steps);
        const single = new ModelDatabase();
        for (const work of works) single.write(work);
        const foldedOnce = new ModelDatabase();
        for (const segment of fold(works).segments) for (const work of segment.work) foldedOnce.write(work);
        expect(values(foldedOnce)).toEqual(values(single));
      }),
      { numRuns: 500 },
    );
  });

  it("keeps one change of each key in a segment", () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (steps) => {
        for (const { work } of fold(history(steps)).segments) {
          const keys = work.map((each) => each.change.key ?? "truncate");
          expect(new Set(keys).size).toBe(keys.length);
        }
      }),
    );
  });

  it("lays a partial change over the earlier image, byte for byte", () => {
    const first = workFrom("u", 10, 1, 1, false);
    const second = workFrom("u", 20, 1, 2, true);
    const [segment] = fold([first, second]).segments;
    expect(segment?.work).toHaveLength(1);
    expect(segment?.work[0]).toMatchObject({ kind: "upsert", position: 20n });
    expect(segment?.work[0]?.image.toString()).toBe('{"id":1,"v":2,"big":"big 1"}');
  });

  it("does not let an older change that comes late replace a newer one", () => {
    const [segment] = fold([workFrom("u", 20, 1, 2, false), workFrom("u", 10, 1, 1, false)]).segments;
    expect(segment?.work[0]?.image.toString()).toContain('"v":2');
  });

  it("writes both halves of a key change by themselves when their keys were touched before", () => {
    const insert = workFrom("c", 10, 1, 1, false);
    const leave = workOf(change(table, "d", 20, { id: 1 }, { newKey: '{"id":2}' }), shape);
    const arrive = workOf(
      change(table, "c", 20, { id: 2, v: 1, big: unavailable }, { oldKey: '{"id":1}' }),
      shape,
    );
    const update = workFrom("u", 30, 2, 3, true);
    const { segments } = fold([insert, leave, arrive, update]);
    expect(segments.map((segment) => segment.work.map((work) => work.kind))).toEqual([
      ["upsert"],
      ["delete", "moved"],
      ["partial"],
    ]);
  });
});

function values(database: ModelDatabase): unknown {
  return {
    rows: [...database.rows]
      .sort(([left], [right]) => left.localeCompare(right))
      .map(([key, row]) => [key, row.position, row.values]),
    truncated: database.truncated,
  };
}
