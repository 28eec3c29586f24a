import type pg from "pg";
import type { Segment } from "../batch/fold.ts";
import type { Work } from "../batch/work.ts";
import { fixedColumns, type ShapePlan } from "../catalog/shape-plan.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { sortByKey } from "./key-order.ts";
import { changedIdentitySql } from "./statements/changed-identity.ts";
import {
  appendSql,
  movedSql,
  partialSql,
  unknownRowsSql,
  upsertSql,
  upsertUndeletedSql,
  waitingRowsSql,
} from "./statements/write-rows.ts";
import type { TombstoneHorizon } from "./tombstone-horizon.ts";
import { groups, oldestOf, type Group } from "./work-groups.ts";
import {
  deletion,
  images,
  imagesWithNulls,
  keys,
  logged,
  masks,
  named,
  positions,
  queryOf,
  removalOfBuried,
  rows,
} from "./work-queries.ts";

/** Thrown for the insert half of a key change whose other half is not applied yet, and for large values that nobody has. */
export class RowsUnknown extends Error {
  readonly code: "KEY_CHANGE_WAITS" | "LARGE_VALUE_UNKNOWN";
  /** Index, in the chunk, of the first entry concerned. */
  readonly entryIndex: number;

  constructor(code: "KEY_CHANGE_WAITS" | "LARGE_VALUE_UNKNOWN", entryIndex: number) {
    super(code);
    this.code = code;
    this.entryIndex = entryIndex;
  }
}

/**
 * Writes one segment, a statement or two for each table, kind and set of columns, whatever the number of rows. Returns how
 * many rows were written; the others were older than what is there.
 */
export async function writeSegment(
  client: pg.ClientBase,
  segment: Segment,
  horizon: TombstoneHorizon,
): Promise<number> {
  let written = 0;
  for (const group of groups(segment)) {
    written += await writeGroup(client, group, horizon);
    if (updates.has(group.kind)) await requireIdentity(client, group);
  }
  return written;
}

const updates: ReadonlySet<Group["kind"]> = new Set(["upsert", "partial", "moved"]);

/** Throws IDENTITY_FIXED when a value did not get into its row (I8). */
async function requireIdentity(client: pg.ClientBase, { plan, work }: Group): Promise<void> {
  const columns = fixedColumns(plan);
  const [column] = columns;
  if (column === undefined) return;
  const values = [imagesWithNulls(work), positions(work), keys(work)];
  const changed = await run(client, plan, "identity", () => changedIdentitySql(plan), values);
  if (rows(changed) === 0) return;
  const names = columns.map(({ name }) => name).join(", ");
  throw new SluiceError("IDENTITY_FIXED", `${plan.table.name.id}: the identity of a row changed (${names})`, {
    place: { table: plan.table.name.id, column: column.name },
  });
}

async function writeGroup(client: pg.ClientBase, group: Group, horizon: TombstoneHorizon): Promise<number> {
  const { plan, work, kind } = group;
  if (kind !== "append") sortByKey(work);
  const table = plan.table.name.id;
  switch (kind) {
    case "upsert":
      return writeUpserts(client, group, horizon);
    case "append":
      return rows(
        await run(client, plan, kind, () => appendSql(plan), [images(work), positions(work), table]),
      );
    case "delete":
    case "moved-delete": {
      for (const each of work) horizon.raise(table, each.position);
      await client.query(named(deletion(group)));
      return work.length;
    }
    case "partial":
      return writePartial(client, group);
    case "moved":
      return writeMoved(client, group);
    case "truncate":
      // Done already, by `truncateTables`.
      return work.length;
    default:
      throw kind satisfies never;
  }
}

/**
 * Keys are looked up among the tombstones only where one may be newer. An insert that met a delete in progress waited for it, and
 * does not see its tombstone; the statements after it do.
 */
async function writeUpserts(client: pg.ClientBase, group: Group, horizon: TombstoneHorizon): Promise<number> {
  const { plan, work } = group;
  const table = plan.table.name.id;
  const oldest = oldestOf(work);
  const [json, positionList] = [images(work), positions(work)];
  if (oldest > (await horizon.of(client, table))) {
    const [written, newest] = await Promise.all([
      run(client, plan, "upsert", () => upsertSql(plan), [json, positionList, table]),
      horizon.refresh(client, table),
    ]);
    if (oldest > newest) return rows(written);
  }
  const values = [json, positionList, keys(work), table];
  return writeUnburied(
    client,
    group,
    queryOf(plan, "upsert undeleted", () => upsertUndeletedSql(plan), values),
  );
}

/** Inserts, and takes back what met a delete in progress. */
async function writeUnburied(client: pg.ClientBase, group: Group, insert: pg.QueryConfig): Promise<number> {
  // Made before anything is sent: a promise that nobody waits for would end the process if it fails.
  const remove = named(removalOfBuried(group));
  const [written, buried] = await Promise.all([client.query(insert), client.query(remove)]);
  return rows(written) - rows(buried);
}

async function writePartial(client: pg.ClientBase, { plan, work }: Group): Promise<number> {
  const values = [imagesWithNulls(work), positions(work), keys(work), masks(work), plan.table.name.id];
  const written = rows(await run(client, plan, "partial", () => partialSql(plan), values));
  if (written === work.length) return written;
  const unknownSql = (): string => unknownRowsSql(plan, "written");
  const unknown = await run<{ key: string }>(client, plan, "unknown", unknownSql, values);
  throwUnknown(work, unknown.rows, () => "LARGE_VALUE_UNKNOWN");
  return written;
}

async function writeMoved(client: pg.ClientBase, group: Group): Promise<number> {
  const { plan, work } = group;
  const oldKeys = work.map((each) => each.change.oldKey ?? "");
  const values = [
    imagesWithNulls(work),
    positions(work),
    keys(work),
    masks(work),
    oldKeys,
    logged(work),
    plan.table.name.id,
  ];
  const unknown = await run<{ key: string; waits: boolean }>(
    client,
    plan,
    "waiting",
    () => waitingRowsSql(plan),
    values,
  );
  const codeOf = (row: { readonly waits: boolean }): RowsUnknown["code"] =>
    row.waits ? "KEY_CHANGE_WAITS" : "LARGE_VALUE_UNKNOWN";
  throwUnknown(work, unknown.rows, codeOf);
  const insert = queryOf(plan, "moved", () => movedSql(plan), values);
  const written = await writeUnburied(client, group, insert);
  if (written === work.length) return written;
  // What was saved may have gone since.
  const since = await run<{ key: string; waits: boolean }>(
    client,
    plan,
    "waiting",
    () => waitingRowsSql(plan),
    values,
  );
  throwUnknown(work, since.rows, codeOf);
  return written;
}

/** Throws for the first of the unknown rows in stream order. */
function throwUnknown<Row extends { readonly key: string }>(
  work: readonly Work[],
  unknown: readonly Row[],
  codeOf: (row: Row) => RowsUnknown["code"],
): void {
  if (unknown.length === 0) return;
  const byKey = new Map(unknown.map((row) => [row.key, row]));
  const first = [...work]
    .sort((left, right) => left.change.entryIndex - right.change.entryIndex)
    .find((each) => byKey.has(each.change.key ?? ""));
  const row = byKey.get(first?.change.key ?? "");
  if (first === undefined || row === undefined)
    throw new SluiceError("INTERNAL", "unknown rows are not of this batch");
  throw new RowsUnknown(codeOf(row), first.change.entryIndex);
}

function run<Row extends pg.QueryResultRow>(
  client: pg.ClientBase,
  plan: ShapePlan,
  id: string,
  text: () => string,
  values: unknown[],
): Promise<pg.QueryResult<Row>> {
  return client.query<Row>(queryOf(plan, id, text, values));
}
