import type pg from "pg";
import type { Segment } from "../batch/fold.ts";
import type { Work } from "../batch/work.ts";
import { planKey, type ShapePlan } from "../catalog/shape-plan.ts";
import { spanOf } from "../decode/span.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { removeBuriedSql } from "./statements/buried-rows.ts";
import { passingRowsSql, type PassingRows } from "./statements/passing-rows.ts";
import { jsonArray } from "./statements/rows.ts";
import { unknownRowsSql, waitingRowsSql } from "./statements/write-rows.ts";
import type { TableOutcome, UnknownCode } from "./replay-tally.ts";
import { truncateTables } from "./truncate-tables.ts";
import type { TombstoneHorizon } from "./tombstone-horizon.ts";
import { keys, positions } from "./work-queries.ts";
import { writeSegment } from "./write-segment.ts";

/** What a replay does with rows: writes them, or only says what it would write. */
export interface RowAccess {
  readonly begin: "BEGIN" | "BEGIN READ ONLY";
  /** Before the transaction. */
  prepare(pool: pg.Pool, works: readonly Work[]): Promise<void>;
  /** The works of one table in one segment: at most one for each key. */
  apply(client: pg.ClientBase, works: readonly Work[]): Promise<TableOutcome>;
  /** After the last of a transaction, with all works of one table. Returns how many rows were taken back. */
  finish(client: pg.ClientBase, works: readonly Work[]): Promise<number>;
}

type Unknown = TableOutcome["unknown"];

/**
 * Writes through the guard (I4). The live pipeline deletes rows meanwhile, so no insert here goes without a look at the tombstones, and
 * what came in beside a delete is taken back in the same transaction.
 */
export const writingRows: RowAccess = {
  begin: "BEGIN",
  prepare: truncateTables,
  async apply(client, works) {
    const rows = partsOf(works);
    const { newer } = await passingRows(client, rows.deletes);
    const unknown = await unknownRows(client, rows.partial);
    const partial = without(rows.partial, unknown);
    const others = [...rows.truncates, ...rows.deletes, ...rows.upserts, ...partial];
    let written = await write(client, others);
    // The delete of the old key, which saves the row, may be among the others.
    const waiting = await waitingRows(client, rows.moved);
    const moved = without(rows.moved, waiting);
    written += (await write(client, moved)) - newer;
    return {
      table: tableOf(works),
      written,
      stale: others.length + moved.length - written,
      partial: partial.length,
      settled: keys([...rows.deletes, ...rows.upserts, ...moved]),
      unknown: [...unknown, ...waiting],
    };
  },
  async finish(client, works) {
    const inserted = works.filter(({ kind }) => kind === "upsert" || kind === "moved");
    const [first] = inserted;
    if (first === undefined) return 0;
    const plan = keyPlan(first.plan);
    const values = [keyObjects(inserted), keys(inserted), plan.table.name.id];
    return (await client.query(removeBuriedSql(plan), values)).rowCount ?? 0;
  },
};

/** Keys that a dry run remembers; beyond them it may take a row for unknown that the replay would have made. */
const mostRemembered = 100_000;

/** Only asks. Rows that an earlier chunk would have made are remembered, since later changes of theirs would find them. */
export function countingRows(): RowAccess {
  const made = new Map<string, Set<string>>();
  return {
    begin: "BEGIN READ ONLY",
    prepare: async () => undefined,
    async apply(client, works) {
      const rows = partsOf(works);
      const table = tableOf(works);
      if (rows.truncates.length > 0) made.delete(table);
      const known = made.get(table) ?? new Set<string>();
      made.set(table, known);
      for (const key of keys(rows.deletes)) known.delete(key);
      const deletes = await passingRows(client, rows.deletes);
      const upserts = await passingRows(client, rows.upserts);
      for (const key of upserts.absent) if (known.size < mostRemembered) known.add(key);
      const partial = await passingRows(client, rows.partial);
      const missing = partial.absent.filter((key) => !known.has(key));
      const unknown = pick(rows.partial, new Map(missing.map((key) => [key, "LARGE_VALUE_UNKNOWN"])));
      const found = partial.absent.length - missing.length;
      const waiting = await waitingRows(client, rows.moved);
      const moved = await passingRows(client, without(rows.moved, waiting));
      const written =
        rows.truncates.length +
        (rows.deletes.length - deletes.newer) +
        (upserts.passing + upserts.absent.length) +
        (partial.passing + found) +
        (moved.passing + moved.absent.length);
      return {
        table,
        written,
        stale: works.length - unknown.length - waiting.length - written,
        partial: partial.passing + found,
        settled: keys([...rows.deletes, ...rows.upserts, ...without(rows.moved, waiting)]),
        unknown: [...unknown, ...waiting],
      };
    },
    finish: async () => 0,
  };
}

interface Parts {
  readonly truncates: readonly Work[];
  readonly deletes: readonly Work[];
  readonly upserts: readonly Work[];
  readonly partial: readonly Work[];
  readonly moved: readonly Work[];
}

function partsOf(works: readonly Work[]): Parts {
  const of = (kind: Work["kind"]): Work[] => works.filter((work) => work.kind === kind);
  return {
    truncates: of("truncate"),
    deletes: of("delete"),
    upserts: of("upsert"),
    partial: of("partial"),
    moved: of("moved"),
  };
}

/** Above every position: each insert looks for its own key's tombstone, since others delete meanwhile. */
const always: TombstoneHorizon = {
  of: async () => 2n ** 63n,
  refresh: async () => 2n ** 63n,
  raise: () => undefined,
};

async function write(client: pg.ClientBase, work: readonly Work[]): Promise<number> {
  if (work.length === 0) return 0;
  const segment: Segment = { work };
  return await writeSegment(client, segment, always);
}

async function passingRows(client: pg.ClientBase, works: readonly Work[]): Promise<PassingRows> {
  const [first] = works;
  if (first === undefined) return { passing: 0, newer: 0, absent: [] };
  const plan = keyPlan(first.plan);
  const values = [keyObjects(works), positions(works), keys(works), plan.table.name.id];
  const { rows } = await client.query<PassingRows>(passingRowsSql(plan), values);
  const [row] = rows;
  if (row === undefined) throw new SluiceError("INTERNAL", "a count gave no row");
  return row;
}

async function unknownRows(client: pg.ClientBase, works: readonly Work[]): Promise<Unknown> {
  const [first] = works;
  if (first === undefined) return [];
  const plan = keyPlan(first.plan);
  const values = [keyObjects(works), positions(works), keys(works), masks(works), plan.table.name.id];
  const { rows } = await client.query<{ key: string }>(unknownRowsSql(plan), values);
  return pick(works, new Map(rows.map(({ key }) => [key, "LARGE_VALUE_UNKNOWN"])));
}

async function waitingRows(client: pg.ClientBase, works: readonly Work[]): Promise<Unknown> {
  const [first] = works;
  if (first === undefined) return [];
  const plan = keyPlan(first.plan);
  const oldKeys = works.map(({ change }) => change.oldKey ?? "");
  const values = [
    keyObjects(works),
    positions(works),
    keys(works),
    masks(works),
    oldKeys,
    `{${works.map(({ change }) => change.logged).join(",")}}`,
    plan.table.name.id,
  ];
  const { rows } = await client.query<{ key: string; waits: boolean }>(waitingRowsSql(plan), values);
  const codes = rows.map(({ key, waits }): [string, UnknownCode] => [
    key,
    waits ? "KEY_CHANGE_WAITS" : "LARGE_VALUE_UNKNOWN",
  ]);
  return pick(works, new Map(codes));
}

function pick(works: readonly Work[], codes: ReadonlyMap<string, UnknownCode>): Unknown {
  return works.flatMap((work) => {
    const code = codes.get(work.change.key ?? "");
    return code === undefined ? [] : [{ work, code }];
  });
}

function without(works: readonly Work[], left: Unknown): readonly Work[] {
  if (left.length === 0) return works;
  const out = new Set(left.map(({ work }) => work));
  return works.filter((work) => !out.has(work));
}

function keyPlan({ table }: ShapePlan): ShapePlan {
  return planKey(table, table.key);
}

function tableOf(works: readonly Work[]): string {
  return works[0]?.change.table.id ?? "";
}

function keyObjects(works: readonly Work[]): Buffer {
  return jsonArray(works.map(({ change }) => spanOf(Buffer.from(change.key ?? "{}"))));
}

/** Statements that only look for keys have no use for them. */
function masks(works: readonly Work[]): string[] {
  return works.map(() => "");
}
