import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fold } from "../../../src/batch/fold.ts";
import { workOf, type Work } from "../../../src/batch/work.ts";
import type { Operation } from "../../../src/change/change.ts";
import { planShape } from "../../../src/catalog/shape-plan.ts";
import { change, columnType, plan, readTable } from "../../support/plans.ts";

const table = readTable("public.t", {
  id: columnType("int4"),
  v: columnType("int4"),
  big: columnType("text"),
});
/** With a column that only the read database has. */
const extended = readTable("public.t", {
  ...Object.fromEntries([...table.columns].map(([name, { type }]) => [name, type])),
  own: columnType("int4"),
});
const shapes = { whole: plan(table), extended: planShape(extended, [...table.columns.keys()]) };
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
    const fresh = work.plan.leavesColumns ? { own: "default" } : {};
    const values =
      work.image.length === 0 ? {} : (JSON.parse(work.image.toString()) as Record<string, unknown>);
    if (work.kind === "truncate") this.truncate(work.position);
    else if (work.kind === "delete") this.remove(key, row, work.position);
    else if (row !== undefined && row.position > work.position) return;
    else if (work.kind === "partial") {
      if (row === undefined) return;
      const kept = Object.fromEntries([...work.absent].map((name) => [name, row.values[name]]));
      this.rows.set(key, { position: work.position, values: { ...row.values, ...values, ...kept } });
    } else if ((this.tombstones.get(key) ?? -1n) <= work.position && this.truncated <= work.position) {
      this.rows.set(key, { position: work.position, values: { ...fresh, ...row?.values, ...values } });
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

/** Changes of one row; `p` leaves out the large value. */
const c = (position: number): Work => workFrom("c", position, 1, position, false);
const u = (position: number): Work => workFrom("u", position, 1, position, false);
const p = (position: number): Work => workFrom("u", position, 1, position, true);
const t = (position: number): Work => workFrom("t", position, 1, position, false);

type Shape = keyof typeof shapes;

function workFrom(
  op: Operation,
  position: number,
  id: number,
  value: number,
  lacksBig: boolean,
  shape: Shape = "whole",
): Work {
  const row = { id, v: value, big: lacksBig && op === "u" ? unavailable : `big ${value}` };
  return workOf(change(table, op, position, row), shapes[shape]);
}

const operation = fc.record({
  op: fc.constantFrom<Operation>("c", "u", "u", "u", "d", "t"),
  id: fc.integer({ min: 1, max: 3 }),
  lacksBig: fc.boolean(),
  /** Afterwards changes come again, or behind their time: how far back they begin, and how many. */
  again: fc.oneof(
    { weight: 3, arbitrary: fc.constant({ back: 0, count: 0 }) },
    {
      weight: 1,
      arbitrary: fc.record({ back: fc.integer({ min: 1, max: 6 }), count: fc.integer({ min: 1, max: 6 }) }),
    },
  ),
  endsBatch: fc.boolean(),
});

interface Case {
  readonly shape: Shape;
  /** Rows that are there before, each written where the log begins, and with a value of the reader's own. */
  readonly filled: readonly number[];
  readonly steps: readonly (typeof operation extends fc.Arbitrary<infer Step> ? Step : never)[];
}

const anyCase: fc.Arbitrary<Case> = fc.record({
  shape: fc.constantFrom<Shape>("whole", "extended"),
  filled: fc.subarray([1, 2, 3]),
  steps: fc.array(operation, { maxLength: 30 }),
});

function filledDatabase({ filled, shape }: Case): ModelDatabase {
  const database = new ModelDatabase();
  const own = shape === "extended" ? { own: "the reader's" } : {};
  for (const id of filled)
    database.rows.set(JSON.stringify({ id }), {
      position: 1n,
      values: { id, v: -1, big: "big of old", ...own },
    });
  return database;
}

/**
 * What a stream holds, in batches. Each operation is what a table could log: inserts of rows that are not there, updates and deletes of
 * those that are.
 */
function batches({ shape, filled, steps }: Case): Work[][] {
  const alive = new Set(filled);
  const made: Work[] = [];
  const found: Work[][] = [[]];
  steps.forEach(({ op, id, lacksBig, again, endsBatch }, index) => {
    if (op === "t") alive.clear();
    const real = op === "t" ? "t" : alive.has(id) ? (op === "c" ? "u" : op) : "c";
    if (real === "d") alive.delete(id);
    else if (real !== "t") alive.add(id);
    made.push(workFrom(real, index * 10 + 10, id, index, lacksBig, shape));
    const from = Math.max(0, made.length - again.back);
    found.at(-1)?.push(...made.slice(-1), ...made.slice(from, from + again.count));
    if (endsBatch) found.push([]);
  });
  return found;
}

describe("fold", () => {
  it("leaves the database as if every change had been written by itself, however they are cut into batches (I4, I5, I7)", () => {
    fc.assert(
      fc.property(anyCase, (each) => {
        const [single, folded] = [filledDatabase(each), filledDatabase(each)];
        let written = 1n;
        for (const batch of batches(each)) {
          for (const work of batch) single.write(work);
          for (const segment of fold(batch, written).segments)
            for (const work of segment.work) folded.write(work);
          for (const { position } of batch) if (position > written) written = position;
        }
        expect(values(folded)).toEqual(values(single));
      }),
      { numRuns: 1000 },
    );
  });

  it("says of a segment that it is nothing but upserts by one plan, and new ones, only where it is", () => {
    const cases = fc.tuple(anyCase, fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }));
    fc.assert(
      fc.property(cases, ([each, others]) => {
        const works = batches(each).flat();
        const mixed = works.map((work, index) =>
          others[index % others.length] === true ? workOf(work.change, shapes.extended) : work,
        );
        for (const { work, upserts } of fold(mixed).segments) {
          if (upserts === undefined) continue;
          for (const { kind, plan: own } of work) expect([kind, own]).toEqual(["upsert", upserts.plan]);
          if (upserts.isNew) expect(work.filter(({ isNew }) => !isNew)).toEqual([]);
        }
      }),
      { numRuns: 1000 },
    );
    const inserts = [1, 2, 3].map((id) => workFrom("c", id, id, id, false));
    expect(fold(inserts).segments).toMatchObject([{ upserts: { plan: shapes.whole, isNew: true } }]);
    expect(fold([...inserts, u(9)]).segments).toMatchObject([{ upserts: { isNew: false } }]);
  });

  it("keeps one change of each key in a segment", () => {
    fc.assert(
      fc.property(anyCase, (each) => {
        for (const { work } of fold(batches(each).flat()).segments) {
          const keys = work.map(({ change: { key } }) => key ?? "truncate");
          expect(new Set(keys).size).toBe(keys.length);
        }
      }),
    );
  });

  it.each([
    [
      "comes again",
      [
        [c(10), u(20)],
        [p(30), c(10)],
        [u(20), p(30)],
      ],
      "big 20",
    ],
    [
      "comes again in a batch of its own",
      [
        [c(10), u(20)],
        [c(10), p(30)],
      ],
      "big 20",
    ],
    ["comes again behind a truncate", [[u(50), t(30), u(40), p(60)]], "big 50"],
    ["comes late, a newer one after it", [[c(10)], [p(30), u(20), u(25)]], "big 25"],
    ["comes late, and is all there is of the row", [[p(30), c(10)]], "big 10"],
  ])("takes unchanged large values from the newest older image: one %s", (_, works, big) => {
    const database = new ModelDatabase();
    let written = -1n;
    for (const batch of works) {
      for (const { work } of fold(batch, written).segments) work.forEach((each) => database.write(each));
      for (const { position } of batch) if (position > written) written = position;
    }
    expect(database.rows.get('{"id":1}')?.values).toMatchObject({ big });
  });

  it("needs two segments for any number of rows that are replaced in a table with columns of its own", () => {
    const works = [1, 2, 3].flatMap((id) => [
      workFrom("d", id * 20, id, 0, false, "extended"),
      workFrom("c", id * 20 + 10, id, 0, false, "extended"),
    ]);
    const kinds = fold(works).segments.map(({ work }) => new Set(work.map(({ kind }) => kind)));
    expect(kinds).toEqual([new Set(["delete"]), new Set(["upsert"])]);
    expect(fold([workFrom("d", 10, 1, 0, false), workFrom("c", 20, 1, 0, false)]).segments).toHaveLength(1);
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
    const leave = workOf(change(table, "d", 20, { id: 1 }, { newKey: '{"id":2}' }), shapes.whole);
    const arrive = workOf(
      change(table, "c", 20, { id: 2, v: 1, big: unavailable }, { oldKey: '{"id":1}' }),
      shapes.whole,
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
