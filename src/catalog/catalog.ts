import type pg from "pg";
import type { Change, TableName } from "../change/change.ts";
import { memberName, members } from "../decode/json-scan.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { changedTables, readTable, type ReadTable } from "./read-table.ts";
import { planKey, planShape, requireKey, type ShapePlan } from "./shape-plan.ts";

/**
 * What the read database's tables look like, read when first needed, again after `forget`, and after DDL that `refresh` has seen: a
 * plan casts to the types that the columns had. Plans are kept by the
 * fingerprints of the change's column names and its key's, so that names are compared once and not for each row.
 */
export class Catalog {
  private readonly pool: pg.Pool;
  private readonly tables = new Map<
    string,
    { readonly table: ReadTable; readonly plans: Map<string, ShapePlan> }
  >();

  /** Changes come in runs of one kind. */
  private last:
    | (Pick<Change, "table" | "op" | "shape" | "keyShape"> & { readonly plan: ShapePlan })
    | undefined;

  constructor(pool: pg.Pool) {
    this.pool = pool;
  }

  /** The plan of each change, in order. Throws TABLE_MISSING and what the plans throw, with `entryIndex` as place. */
  async plan(change: Change): Promise<ShapePlan> {
    const known = this.tables.get(change.table.id)?.plans.get(planKeyOf(change));
    return known ?? (await this.makePlan(change));
  }

  /** The plan if it is known: what all but the first change of a shape need, without waiting. */
  knownPlan(change: Change): ShapePlan | undefined {
    const { last } = this;
    if (
      last?.table === change.table &&
      last.op === change.op &&
      last.shape === change.shape &&
      last.keyShape === change.keyShape
    )
      return last.plan;
    const plan = this.tables.get(change.table.id)?.plans.get(planKeyOf(change));
    if (plan === undefined) return undefined;
    const { table, op, shape, keyShape } = change;
    this.last = { table, op, shape, keyShape, plan };
    return plan;
  }

  forget(): void {
    this.last = undefined;
    this.tables.clear();
  }

  /** Forgets the tables that were changed since they were read. */
  async refresh(): Promise<void> {
    const known = [...this.tables].map(([id, { table }]) => ({ id, table }));
    if (known.length === 0) return;
    const changed = new Set(
      await changedTables(
        this.pool,
        known.map(({ table }) => table),
      ),
    );
    for (const { id, table } of known) {
      if (!changed.has(table) || this.tables.get(id)?.table !== table) continue;
      this.last = undefined;
      this.tables.delete(id);
    }
  }

  private async makePlan(change: Change): Promise<ShapePlan> {
    const entry = await this.table(change.table);
    const keyNames = change.key === undefined ? undefined : namesOf(Buffer.from(change.key));
    const plan = makePlan(change, entry.table, keyNames);
    entry.plans.set(planKeyOf(change), plan);
    return plan;
  }

  private async table(
    name: TableName,
  ): Promise<{ readonly table: ReadTable; readonly plans: Map<string, ShapePlan> }> {
    const known = this.tables.get(name.id);
    if (known !== undefined) return known;
    const table = await readTable(this.pool, name);
    if (table === undefined) {
      throw new SluiceError("TABLE_MISSING", `the read database has no table ${name.id}`, {
        place: { table: name.id },
      });
    }
    const entry = { table, plans: new Map<string, ShapePlan>() };
    this.tables.set(name.id, entry);
    return entry;
  }
}

/** The key's names too: the primary may choose another key for the same columns. */
function planKeyOf({ op, keyShape, shape }: Change): string {
  return op === "t" ? "t" : `${op === "d" ? "d" : "i"}${keyShape} ${shape}`;
}

function makePlan(change: Change, table: ReadTable, keyNames: readonly string[] | undefined): ShapePlan {
  if (change.op === "t") return planShape(table, []);
  if (keyNames === undefined && (change.op === "d" || change.op === "u")) {
    throw new SluiceError("TABLE_WITHOUT_KEY", `${table.name.id} has no key`, {
      place: { table: table.name.id },
    });
  }
  if (change.op === "d") return planKey(table, keyNames ?? []);
  requireKey(table, keyNames);
  return planShape(table, namesOf(change.image ?? Buffer.from("{}")));
}

function namesOf(object: Buffer): string[] {
  return members(object).map((member) => memberName(object, member));
}
