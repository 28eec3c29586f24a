import type pg from "pg";
import type { Change, ChangeForm, TableName } from "../change/change.ts";
import { memberName, members } from "../decode/json-scan.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { changedTables, readTable, type ReadTable } from "./read-table.ts";
import { planKey, planShape, requireKey, type ShapePlan } from "./shape-plan.ts";

/** What a plan is made of. */
type PlannedChange = Pick<Change, "form" | "key" | "image">;

/**
 * What the read database's tables look like, read when first needed, again after `forget`, and after DDL that `refresh` has seen: a
 * plan casts to the types that the columns had. Plans are kept by the
 * fingerprints of the change's column names and its key's, so that names are compared once and not for each row.
 */
export class Catalog {
  private readonly pool: pg.Pool;
  private readonly tables = new Map<string, KnownTable>();
  /** Those that are being read: shards that ask for a table at the same moment get the same one, and so the same plans. */
  private readonly reading = new Map<string, Promise<KnownTable>>();

  /** The plans of changes that were met, found at once. */
  private met = new WeakMap<ChangeForm, ShapePlan>();

  constructor(pool: pg.Pool) {
    this.pool = pool;
  }

  /** The plan of each change, in order. Throws TABLE_MISSING and what the plans throw, with `entryIndex` as place. */
  async plan(change: PlannedChange): Promise<ShapePlan> {
    return this.knownPlan(change) ?? (await this.makePlan(change));
  }

  /** The plan if it is known: what all but the first change of a shape need, without waiting. */
  knownPlan({ form }: Pick<Change, "form">): ShapePlan | undefined {
    const met = this.met.get(form);
    if (met !== undefined) return met;
    const plan = this.tables.get(form.table.id)?.plans.get(planKeyOf(form));
    if (plan !== undefined) this.met.set(form, plan);
    return plan;
  }

  forget(): void {
    this.met = new WeakMap();
    this.tables.clear();
    this.reading.clear();
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
      this.met = new WeakMap();
      this.tables.delete(id);
    }
  }

  private async makePlan(change: PlannedChange): Promise<ShapePlan> {
    const { table, plans } = await this.table(change.form.table);
    // Another shard may have been the first.
    const made = plans.get(planKeyOf(change.form));
    if (made !== undefined) return made;
    const keyNames = change.key === undefined ? undefined : namesOf(Buffer.from(change.key));
    const plan = makePlan(change, table, keyNames);
    plans.set(planKeyOf(change.form), plan);
    return plan;
  }

  private async table(name: TableName): Promise<KnownTable> {
    const known = this.tables.get(name.id) ?? this.reading.get(name.id);
    if (known !== undefined) return known;
    const reading = this.read(name);
    this.reading.set(name.id, reading);
    try {
      const table = await reading;
      // Not if it was forgotten meanwhile.
      if (this.reading.get(name.id) === reading) this.tables.set(name.id, table);
      return table;
    } finally {
      if (this.reading.get(name.id) === reading) this.reading.delete(name.id);
    }
  }

  private async read(name: TableName): Promise<KnownTable> {
    const table = await readTable(this.pool, name);
    if (table === undefined) {
      throw new SluiceError("TABLE_MISSING", `the read database has no table ${name.id}`, {
        place: { table: name.id },
      });
    }
    return { table, plans: new Map() };
  }
}

interface KnownTable {
  readonly table: ReadTable;
  readonly plans: Map<string, ShapePlan>;
}

/** The key's names too: the primary may choose another key for the same columns. */
function planKeyOf({ op, keyShape, shape }: ChangeForm): string {
  return op === "t" ? "t" : `${op === "d" ? "d" : "i"}${keyShape} ${shape}`;
}

function makePlan(
  { form: { op }, image }: PlannedChange,
  table: ReadTable,
  keyNames: readonly string[] | undefined,
): ShapePlan {
  if (op === "t") return planShape(table, []);
  if (keyNames === undefined && (op === "d" || op === "u")) {
    throw new SluiceError("TABLE_WITHOUT_KEY", `${table.name.id} has no key`, {
      place: { table: table.name.id },
    });
  }
  if (op === "d") return planKey(table, keyNames ?? []);
  requireKey(table, keyNames);
  return planShape(table, namesOf(image ?? Buffer.from("{}")));
}

function namesOf(object: Buffer): string[] {
  return members(object).map((member) => memberName(object, member));
}
