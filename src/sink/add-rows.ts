import type { Segment } from "../batch/fold.ts";
import type { Work } from "../batch/work.ts";
import { fixedColumns, type ShapePlan } from "../catalog/shape-plan.ts";
import { CopyData } from "../decode/copy-data.ts";
import { textPlace } from "../decode/kernel/memory.ts";
import { TextArrays } from "../decode/text-arrays.ts";
import { textList } from "./binary-arrays.ts";
import { copyStep, rowsOfCopy, writeCopy, type CopyTrials } from "./copy-inserts.ts";
import { sortByKey } from "./key-order.ts";
import type { Parameter } from "./message-writer.ts";
import {
  appendSql,
  upsertAboveArraysSql,
  upsertAboveSql,
  upsertUndeletedArraysSql,
  upsertUndeletedSql,
} from "./statements/write-rows.ts";
import type { StepSequence } from "./step-sequence.ts";
import { requireAbove, type AboveTombstones, type DatabaseHorizon } from "./tombstone-horizon.ts";
import { groups, isDelete, oldestOf, type Group } from "./work-groups.ts";
import { deletion, images, keys, positions, removalOfBuried, sqlOf } from "./work-queries.ts";

export interface AddOptions {
  readonly horizon: Pick<DatabaseHorizon, "known" | "raise">;
  readonly trials: CopyTrials;
  /** Each key is looked up among the tombstones, and nothing goes in by COPY: for what was refused before. */
  readonly looking: boolean;
}

export interface AddedRows {
  /** How many changes were older than their rows, by the rows that the steps wrote. */
  stale(counts: readonly number[]): number;
  /** Tables into which rows go by COPY. */
  readonly copied: ReadonlySet<string>;
}

/** Whether no answer decides what comes next, so that all can be sent at once. */
export function isSendable(segments: readonly Segment[]): boolean {
  let known: ShapePlan | undefined;
  for (const { work, upserts } of segments) {
    if (upserts !== undefined) {
      if (fixedColumns(upserts.plan).length > 0) return false;
      continue;
    }
    for (const { kind, plan } of work) {
      if (kind === "append" || kind === "delete") continue;
      if (kind !== "upsert") return false;
      if (plan === known) continue;
      if (fixedColumns(plan).length > 0) return false;
      known = plan;
    }
  }
  return true;
}

/** Tables whose horizon should be known before. */
export function upsertedTables(segments: readonly Segment[]): ReadonlySet<string> {
  const plans = new Set<ShapePlan>();
  let last: ShapePlan | undefined;
  for (const { work, upserts } of segments) {
    if (upserts !== undefined) {
      plans.add(upserts.plan);
      continue;
    }
    for (const { kind, plan } of work) {
      if (plan === last || (kind !== "upsert" && kind !== "append")) continue;
      plans.add((last = plan));
    }
  }
  return new Set(Array.from(plans, (plan) => plan.table.name.id));
}

/**
 * Adds the statements that write sendable segments, one segment after the other, and behind them an assertion of what they take for
 * granted: that no tombstone is above rows whose keys are not looked up.
 */
export function addRows(
  sequence: StepSequence,
  segments: readonly Segment[],
  options: AddOptions,
): AddedRows {
  const adding = new Adding(sequence, options);
  const layers = segments.map(groups);
  // Before the first is added, so that what they bury is looked up.
  for (const { kind, plan, work } of layers.flat())
    if (isDelete(kind)) for (const { position } of work) options.horizon.raise(plan.table.name.id, position);
  for (const group of layers.flat()) adding.add(group);
  return adding.finish();
}

/** Of one step after the other: what they hold is copied when they are added. */
const arrays = new TextArrays();
const copyData = new CopyData(textPlace());

class Adding {
  readonly copied = new Set<string>();
  private readonly sequence: StepSequence;
  private readonly options: AddOptions;
  private readonly above: AboveTombstones[] = [];
  /** Changes that the guard may refuse. */
  private guarded = 0;
  private readonly written: number[] = [];
  private readonly removed: number[] = [];

  constructor(sequence: StepSequence, options: AddOptions) {
    this.sequence = sequence;
    this.options = options;
  }

  add(group: Group): void {
    if (isDelete(group.kind)) {
      sortByKey(group.work);
      this.sequence.add(deletion(group));
    } else this.addUpserts(group);
  }

  finish(): AddedRows {
    const { copied, above, guarded, written, removed } = this;
    if (above.length > 0) this.sequence.add(requireAbove(above));
    const sum = (counts: readonly number[], of: readonly number[]): number =>
      of.reduce((total, index) => total + (counts[index] ?? 0), 0);
    return { copied, stale: (counts) => guarded - sum(counts, written) + sum(counts, removed) };
  }

  /** New rows by COPY where that can be, the others by a statement. */
  private addUpserts(group: Group): void {
    const { plan, work, kind, isNew } = group;
    const table = plan.table.name.id;
    const fresh = kind === "append" || isNew ? work : work.filter((each) => each.isNew);
    const oldest = oldestOf(work);
    if (this.looksUp(table, oldest) || !this.options.trials.takes(plan, fresh.length)) {
      this.addStatement(group);
      return;
    }
    let others = fresh === work ? [] : work.filter((each) => !each.isNew);
    const most = rowsOfCopy(plan);
    for (let from = 0; from < fresh.length; from += most) {
      const rows = fresh.slice(from, from + most);
      if (!this.copyRows(plan, rows)) others = others.concat(rows);
    }
    if (others.length < work.length)
      this.above.push({ table, oldest: fresh === work ? oldest : oldestOf(fresh), isNew: true });
    if (others.length > 0) this.addStatement({ ...group, work: others });
  }

  /** False: they go the other way. */
  private copyRows(plan: ShapePlan, rows: readonly Work[]): boolean {
    const format = writeCopy(plan, rows, copyData);
    if (format === undefined) return false;
    this.copied.add(plan.table.name.id);
    this.addGuarded(rows.length, this.sequence.add(copyStep(plan, format, copyData)));
    return true;
  }

  private addGuarded(changes: number, step: number): void {
    this.guarded += changes;
    this.written.push(step);
  }

  /** Whether a tombstone of the table may be above the oldest of its changes. */
  private looksUp(table: string, oldest: bigint): boolean {
    const newest = this.options.horizon.known(table);
    return this.options.looking || newest === undefined || oldest <= newest;
  }

  private addStatement(group: Group): void {
    const { plan, work, kind } = group;
    const table = plan.table.name.id;
    if (kind === "append") {
      const [text, values] = [sqlOf(plan, kind, () => appendSql(plan)), [images(work), positions(work)]];
      this.addGuarded(work.length, this.sequence.add({ text, values: [...values, table] }));
      return;
    }
    sortByKey(work);
    const oldest = oldestOf(work);
    if (this.looksUp(table, oldest)) this.addUndeleted(group);
    else {
      this.above.push({ table, oldest, isNew: false });
      const { values, inArrays } = imagesOf(group);
      const text = inArrays
        ? sqlOf(plan, "upsert above arrays", () => upsertAboveArraysSql(plan))
        : sqlOf(plan, "upsert above", () => upsertAboveSql(plan));
      this.addGuarded(work.length, this.sequence.add({ text, values: [...values, positions(work), table] }));
    }
  }

  /** Looks each key up among the tombstones, and takes back what met a delete in progress. */
  private addUndeleted(group: Group): void {
    const { plan, work } = group;
    const { values, inArrays } = imagesOf(group);
    const text = inArrays
      ? sqlOf(plan, "upsert undeleted arrays", () => upsertUndeletedArraysSql(plan))
      : sqlOf(plan, "upsert undeleted", () => upsertUndeletedSql(plan));
    const insert = { text, values: [...values, positions(work), textList(keys(work)), plan.table.name.id] };
    this.addGuarded(work.length, this.sequence.add(insert));
    this.removed.push(this.sequence.add(removalOfBuried(group)));
  }
}

/** An array for each column where that can be, else one of JSON. */
function imagesOf({ plan, work }: Group): {
  readonly values: readonly Parameter[];
  readonly inArrays: boolean;
} {
  const columns = plan.arrays && arrays.of(work, plan.arrays);
  return columns === undefined
    ? { values: [images(work)], inArrays: false }
    : { values: columns, inArrays: true };
}
