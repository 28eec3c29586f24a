import type pg from "pg";
import type { Segment } from "../batch/fold.ts";
import { fixedColumns } from "../catalog/shape-plan.ts";
import { TextArrays } from "../decode/text-arrays.ts";
import type { CopyTrials } from "./copy-inserts.ts";
import { appendSql, upsertArraysSql, upsertSql } from "./statements/write-rows.ts";
import type { TombstoneHorizon } from "./tombstone-horizon.ts";
import { groups, isDelete, oldestOf, sortByKey, type Group } from "./work-groups.ts";
import { deletion, images, positions, queryOf, rows } from "./work-queries.ts";

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
