import type pg from "pg";
import type { Segment } from "../batch/fold.ts";
import type { Work, WorkKind } from "../batch/work.ts";
import { fixedColumns, type ShapePlan } from "../catalog/shape-plan.ts";
import { withNulls } from "../decode/overlay.ts";
import { TextArrays } from "../decode/text-arrays.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { CopyTrials } from "./copy-inserts.ts";
import { removeBuriedSql } from "./statements/buried-rows.ts";
import { changedIdentitySql } from "./statements/changed-identity.ts";
import { jsonArray } from "./statements/rows.ts";
import {
  appendSql,
  deleteSql,
  moveAwaySql,
  movedSql,
  partialSql,
  unknownRowsSql,
  upsertArraysSql,
  upsertSql,
  upsertUndeletedSql,
  waitingRowsSql,
} from "./statements/write-rows.ts";

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

/** Newest tombstone of each table that may matter to this shard; inserts above it need not look. */
export interface TombstoneHorizon {
  of(client: pg.ClientBase, table: string): Promise<bigint>;
  /** What `of` would give if it need not ask. */
  known(table: string): bigint | undefined;
  refresh(client: pg.ClientBase, table: string): Promise<bigint>;
  /** Fails, and the transaction with it, unless all of the table's tombstones are below. Throws HorizonMoved. */
  require(client: pg.ClientBase, table: string, below: bigint): Promise<void>;
  /** Likewise, and unless the table's last TRUNCATE is not above `oldest` either. */
  requireNew(client: pg.ClientBase, table: string, oldest: bigint): Promise<void>;
  raise(table: string, position: bigint): void;
}

/** A tombstone came that the batch must look at. */
export class HorizonMoved extends Error {}

interface Group {
  readonly kind: WorkKind | "moved-delete";
  readonly plan: ShapePlan;
  readonly work: Work[];
}

/** Deletes go first: a key change's delete saves the row for its insert. */
const order: Readonly<Record<Group["kind"], number>> = {
  truncate: 0,
  "moved-delete": 1,
  delete: 2,
  upsert: 3,
  partial: 4,
  moved: 5,
  append: 6,
};

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

/**
 * Sends the segment's statements without waiting for an answer, so that the commit can be sent behind them: what must hold is asserted
 * by the statements. Undefined, with nothing sent, when an answer decides what comes next. Each gives how many rows it wrote.
 */
export function prepareSegment(
  segment: Segment,
  horizon: TombstoneHorizon,
  trials: CopyTrials,
): ((client: pg.ClientBase) => Promise<number>)[] | undefined {
  const all = groups(segment);
  const deletes = new Set(all.filter(({ kind }) => isDelete(kind)).map(({ plan }) => plan.table.name.id));
  const sendable = all.every(
    (group) =>
      group.kind === "append" ||
      isDelete(group.kind) ||
      (group.kind === "upsert" &&
        fixedColumns(group.plan).length === 0 &&
        !deletes.has(group.plan.table.name.id) &&
        oldestOf(group.work) > (horizon.known(group.plan.table.name.id) ?? oldestOf(group.work))),
  );
  return sendable ? all.flatMap((group) => prepareGroup(group, horizon, trials)) : undefined;
}

type Prepared = (client: pg.ClientBase) => Promise<number>;

/** New rows by COPY where that can be, the others by a statement. */
function prepareGroup(group: Group, horizon: TombstoneHorizon, trials: CopyTrials): Prepared[] {
  const { plan, work, kind } = group;
  if (kind !== "upsert" && kind !== "append") return [prepareStatement(group, horizon)];
  const fresh = kind === "append" ? work : work.filter(({ isNew }) => isNew);
  const text = trials.textOf(plan, fresh);
  if (text === undefined) return [prepareStatement(group, horizon)];
  const [table, oldest] = [plan.table.name.id, oldestOf(fresh)];
  const others = kind === "append" ? [] : work.filter(({ isNew }) => !isNew);
  const copy: Prepared = async (client) => {
    const [written] = await Promise.all([
      trials.copy(client, plan, text),
      horizon.requireNew(client, table, oldest),
    ]);
    return written;
  };
  return others.length === 0 ? [copy] : [copy, prepareStatement({ ...group, work: others }, horizon)];
}

function prepareStatement({ plan, work, kind }: Group, horizon: TombstoneHorizon): Prepared {
  const table = plan.table.name.id;
  if (kind !== "append") sortByKey(work);
  if (isDelete(kind)) {
    const query = deletion({ plan, work, kind });
    for (const each of work) horizon.raise(table, each.position);
    return async (client) => {
      await client.query(query);
      return work.length;
    };
  }
  if (kind === "append") {
    const query = queryOf(plan, kind, () => appendSql(plan), [images(work), positions(work), table]);
    return async (client) => rows(await client.query(query));
  }
  const { query, answered } = upsertion({ plan, work, kind });
  const oldest = oldestOf(work);
  return async (client) => {
    const [written] = await Promise.all([client.query(query), horizon.require(client, table, oldest)]);
    answered();
    return rows(written);
  };
}

/** Those of statements that were answered; what is on its way must not be written over. */
const spareArrays: TextArrays[] = [];

function upsertion({ plan, work }: Group): { readonly query: pg.QueryConfig; readonly answered: () => void } {
  const table = plan.table.name.id;
  const texts = spareArrays.pop() ?? new TextArrays();
  const answered = (): void => void spareArrays.push(texts);
  const arrays =
    plan.arrays &&
    texts.of(
      work.map(({ image }) => image),
      plan.arrays,
    );
  const query =
    arrays === undefined
      ? queryOf(plan, "upsert", () => upsertSql(plan), [images(work), positions(work), table])
      : queryOf(plan, "upsert arrays", () => upsertArraysSql(plan), [positions(work), table, ...arrays]);
  return { query, answered };
}

function deletion({ plan, work, kind }: Group): pg.QueryConfig {
  const [values, table] = [[images(work), positions(work), keys(work)], plan.table.name.id];
  return kind === "moved-delete"
    ? queryOf(plan, kind, () => moveAwaySql(plan), [...values, logged(work), table])
    : queryOf(plan, kind, () => deleteSql(plan), [...values, table]);
}

function isDelete(kind: Group["kind"]): boolean {
  return kind === "delete" || kind === "moved-delete";
}

function oldestOf(work: readonly Work[]): bigint {
  let oldest = work[0]?.position ?? 0n;
  for (const { position } of work) if (position < oldest) oldest = position;
  return oldest;
}

/** Parallel shards lock rows in one order. */
function sortByKey(work: Work[]): void {
  if (work.length > 1) work.sort((left, right) => compare(left.change.key ?? "", right.change.key ?? ""));
}

/** By table name and then kind, so that parallel shards lock tables and keys in one order. */
function groups(segment: Segment): Group[] {
  const found = new Map<ShapePlan, Map<Group["kind"], Group>>();
  for (const work of segment.work) {
    const kind = work.kind === "delete" && work.change.newKey !== undefined ? "moved-delete" : work.kind;
    let kinds = found.get(work.plan);
    if (kinds === undefined) found.set(work.plan, (kinds = new Map()));
    const group = kinds.get(kind);
    if (group === undefined) kinds.set(kind, { kind, plan: work.plan, work: [work] });
    else group.work.push(work);
  }
  return [...found.values()]
    .flatMap((kinds) => [...kinds.values()])
    .sort(
      (left, right) =>
        order[left.kind] - order[right.kind] || compare(left.plan.table.name.id, right.plan.table.name.id),
    );
}

function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
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
      await client.query(deletion(group));
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
async function writeUnburied(
  client: pg.ClientBase,
  { plan, work }: Group,
  insert: pg.QueryConfig,
): Promise<number> {
  const keyList = keys(work);
  const keyObjects = jsonArray(keyList.map((key) => Buffer.from(key)));
  const values = [keyObjects, keyList, plan.table.name.id];
  // Made before anything is sent: a promise that nobody waits for would end the process if it fails.
  const remove = queryOf(plan, "buried", () => removeBuriedSql(plan), values);
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

function images(work: readonly Work[]): Buffer {
  return jsonArray(work.map((each) => each.image));
}

function imagesWithNulls(work: readonly Work[]): Buffer {
  return jsonArray(work.map((each) => withNulls(each.image, each.absent)));
}

/** A bigint[] as PostgreSQL writes it; the driver would look at each element by itself. */
function positions(work: readonly Work[]): string {
  return `{${work.map((each) => each.position.toString()).join(",")}}`;
}

/** Where the changes were logged themselves, as a bigint[]. */
function logged(work: readonly Work[]): string {
  return `{${work.map(({ change }) => change.logged).join(",")}}`;
}

function keys(work: readonly Work[]): string[] {
  return work.map((each) => each.change.key ?? "");
}

/** For each row a text with a 1 for each column whose value is left out. */
function masks(work: readonly Work[]): string[] {
  return work.map(({ plan, absent }) =>
    plan.columns.map((column) => (absent.has(column.name) ? "1" : "0")).join(""),
  );
}

function rows(result: pg.QueryResult): number {
  return result.rowCount ?? 0;
}

/** Names as prepared statements, by text: a plan that is made anew uses those that the connections have already. */
const names = new Map<string, string>();

const texts = new WeakMap<ShapePlan, Map<string, string>>();

function queryOf(plan: ShapePlan, id: string, text: () => string, values: unknown[]): pg.QueryConfig {
  let byId = texts.get(plan);
  if (byId === undefined) texts.set(plan, (byId = new Map()));
  let sql = byId.get(id);
  if (sql === undefined) byId.set(id, (sql = text()));
  let name = names.get(sql);
  if (name === undefined) names.set(sql, (name = `sluice_${names.size + 1}`));
  return { name, text: sql, values };
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
