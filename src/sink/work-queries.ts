import type pg from "pg";
import type { Work } from "../batch/work.ts";
import type { ShapePlan } from "../catalog/shape-plan.ts";
import { withNulls } from "../decode/overlay.ts";
import { spanOf } from "../decode/span.ts";
import { bigintList, textList } from "./binary-arrays.ts";
import { removeBuriedSql } from "./statements/buried-rows.ts";
import { jsonArray } from "./statements/rows.ts";
import { deleteSql, moveAwaySql } from "./statements/write-rows.ts";
import type { Step } from "./step-sequence.ts";
import type { Group } from "./work-groups.ts";

/* What work becomes as parameters of statements. */

export function images(work: readonly Work[]): Buffer {
  return jsonArray(work);
}

export function imagesWithNulls(work: readonly Work[]): Buffer {
  return jsonArray(work.map((each) => spanOf(withNulls(each.image, each.absent))));
}

/** A bigint[]. */
export function positions(work: readonly Work[]): Buffer {
  return bigintList(work.map(({ position }) => position));
}

/** Where the changes were logged themselves, a bigint[]. */
export function logged(work: readonly Work[]): Buffer {
  return bigintList(work.map(({ change }) => change.logged));
}

export function keys(work: readonly Work[]): string[] {
  return work.map((each) => each.change.key ?? "");
}

/** For each row a text with a 1 for each column whose value is left out. */
export function masks(work: readonly Work[]): string[] {
  return work.map(({ plan, absent }) =>
    plan.columns.map((column) => (absent.has(column.name) ? "1" : "0")).join(""),
  );
}

export function rows(result: pg.QueryResult): number {
  return result.rowCount ?? 0;
}

/** Names as prepared statements, by text: a plan that is made anew uses those that the connections have already. */
const names = new Map<string, string>();

const texts = new WeakMap<ShapePlan, Map<string, string>>();

/** The plan's statement of that id, made once. */
export function sqlOf(plan: ShapePlan, id: string, text: () => string): string {
  let byId = texts.get(plan);
  if (byId === undefined) texts.set(plan, (byId = new Map()));
  let sql = byId.get(id);
  if (sql === undefined) byId.set(id, (sql = text()));
  return sql;
}

export function queryOf(plan: ShapePlan, id: string, text: () => string, values: unknown[]): pg.QueryConfig {
  return named({ text: sqlOf(plan, id, text), values });
}

/** For the driver, which prepares a statement that has a name once for each connection. */
export function named({
  text,
  values,
}: {
  readonly text: string;
  readonly values: readonly unknown[];
}): pg.QueryConfig {
  let name = names.get(text);
  if (name === undefined) names.set(text, (name = `sluice_${names.size + 1}`));
  return { name, text, values: [...values] };
}

export function deletion({ plan, work, kind }: Group): Step {
  const [values, table] = [[images(work), positions(work), textList(keys(work))], plan.table.name.id];
  return kind === "moved-delete"
    ? { text: sqlOf(plan, kind, () => moveAwaySql(plan)), values: [...values, logged(work), table] }
    : { text: sqlOf(plan, kind, () => deleteSql(plan)), values: [...values, table] };
}

/** Takes back what an insert brought in that met a delete in progress. */
export function removalOfBuried({ plan, work }: Group): Step {
  const keyTexts = keys(work);
  const keyObjects = jsonArray(keyTexts.map((key) => spanOf(Buffer.from(key))));
  const text = sqlOf(plan, "buried", () => removeBuriedSql(plan));
  return { text, values: [keyObjects, textList(keyTexts), plan.table.name.id] };
}
