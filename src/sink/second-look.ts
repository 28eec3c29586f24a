import type pg from "pg";
import type { Catalog } from "../catalog/catalog.ts";
import type { ShapePlan } from "../catalog/shape-plan.ts";
import { parseTableId } from "../change/change.ts";
import { scanShape } from "../decode/envelope.ts";
import { spanOf } from "../decode/span.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { jsonArray } from "./statements/rows.ts";
import { deleteAgainSql } from "./statements/write-rows.ts";

interface MissedDelete {
  readonly table: string;
  /** As Debezium wrote it. */
  readonly key: string;
  readonly position: string;
}

interface Group {
  readonly plan: ShapePlan;
  readonly deletes: readonly MissedDelete[];
}

const mostAtOnce = 1_000;
/** Of one look; what is left is looked at by the next. */
const longestMs = 200;
/** One member at a time looks: "look" in ASCII. */
const lockKey = "1819242347";

interface Step {
  readonly looked: number;
  readonly removed: number;
}

const nothing: Step = { looked: 0, removed: 0 };

/**
 * Deletes again where a delete found no row. Two shards meet on a key when the columns that route it change their value: its insert
 * and its delete may then run beside each other, each without seeing the other, and the row would stay. So the delete is done
 * again, guarded by its position, once every transaction has ended that may have run beside it.
 */
export class SecondLook {
  private readonly pool: pg.Pool;
  private readonly catalog: Catalog;
  /** Tables that the role may not write: passed over until the next look, lest they keep the others from theirs. */
  private refused: readonly string[] = [];

  constructor(pool: pg.Pool, catalog: Catalog) {
    this.pool = pool;
    this.catalog = catalog;
  }

  /** Looks at what is due. Returns how many rows went. */
  async look(): Promise<number> {
    const started = performance.now();
    let removed = 0;
    this.refused = [];
    for (;;) {
      const { rows } = await this.pool.query<{ found: boolean }>(
        "SELECT EXISTS (SELECT FROM sluice.tombstone WHERE missed IS NOT NULL) AS found",
      );
      if (rows[0]?.found !== true) return removed;
      const step = await this.transact();
      removed += step.removed;
      if (step.looked < mostAtOnce || performance.now() - started > longestMs) return removed;
    }
  }

  private async transact(): Promise<Step> {
    const client = await this.pool.connect();
    try {
      await client.query("BEGIN");
      // Whoever calls keeps leases: a row that somebody else holds is left to the next look.
      await client.query(`SET LOCAL lock_timeout = ${longestMs}`);
      const step = await this.lookOn(client);
      await client.query("COMMIT");
      client.release();
      return step;
    } catch (error) {
      const busy = isBusy(error);
      const rolledBack = busy && (await client.query("ROLLBACK").catch(() => undefined)) !== undefined;
      client.release(!rolledBack);
      if (busy) return nothing;
      throw error;
    }
  }

  private async lookOn(client: pg.PoolClient): Promise<Step> {
    const lock = await client.query<{ mine: boolean }>(
      `SELECT pg_try_advisory_xact_lock(${lockKey}) AS mine`,
    );
    if (lock.rows[0]?.mine !== true) return nothing;
    const due = await client.query<MissedDelete>(
      `SELECT table_name AS table, key, position::text FROM sluice.tombstone
       WHERE missed <> '0' AND missed <= pg_snapshot_xmin(pg_current_snapshot()) AND table_name <> ALL ($2)
       ORDER BY table_name, key LIMIT $1`,
      [mostAtOnce, [...this.refused]],
    );
    let removed = 0;
    for (const group of await this.byPlan(due.rows)) removed += await this.deleteAgain(client, group);
    await this.mark(
      client,
      due.rows.filter(({ table }) => !this.refused.includes(table)),
    );
    return { looked: due.rows.length, removed };
  }

  /**
   * A table that is no longer as it was planned is planned anew. Keys that fit it no more have no row; a failure of one must not
   * keep the others from their look, so they are then done one by one, without harm.
   */
  private async deleteAgain(client: pg.PoolClient, group: Group, fresh = true): Promise<number> {
    const { plan, deletes } = group;
    await client.query("SAVEPOINT deletes");
    try {
      return await deletePlanned(client, plan, deletes);
    } catch (error) {
      if (!isOfTable(error)) throw error;
      await client.query("ROLLBACK TO deletes");
      if (error.code === notPermitted) {
        this.refused = [...this.refused, plan.table.name.id];
        return 0;
      }
      if (fresh) this.catalog.forget();
      else if (deletes.length === 1) return 0;
    }
    const parts = fresh ? [deletes] : deletes.map((each) => [each]);
    let removed = 0;
    for (const part of parts) {
      for (const each of await this.byPlan(part)) removed += await this.deleteAgain(client, each, false);
    }
    return removed;
  }

  /** Those that were looked at are done; those whose delete has committed since are due once all that run now have ended. */
  private async mark(client: pg.PoolClient, done: readonly MissedDelete[]): Promise<void> {
    await client.query(
      `UPDATE sluice.tombstone s SET missed = NULL
       FROM unnest($1::text[], $2::text[], $3::bigint[]) AS d(table_name, key, position)
       WHERE (s.table_name, s.key, s.position) = (d.table_name, d.key, d.position)`,
      [done.map(({ table }) => table), done.map(({ key }) => key), done.map(({ position }) => position)],
    );
    await client.query(
      "UPDATE sluice.tombstone SET missed = pg_snapshot_xmax(pg_current_snapshot()) WHERE missed = '0'",
    );
  }

  private async byPlan(deletes: readonly MissedDelete[]): Promise<readonly Group[]> {
    const groups = new Map<ShapePlan, MissedDelete[]>();
    for (const each of deletes) {
      const plan = await this.plan(each);
      if (plan === undefined) continue;
      const group = groups.get(plan);
      if (group === undefined) groups.set(plan, [each]);
      else group.push(each);
    }
    return [...groups].map(([plan, group]) => ({ plan, deletes: group }));
  }

  /** Undefined when there is no such table any more, and so no row. */
  private async plan({ table, key }: MissedDelete): Promise<ShapePlan | undefined> {
    const { shape } = scanShape(Buffer.from(key), 0);
    const form = { op: "d", table: parseTableId(table), shape, keyShape: shape } as const;
    try {
      return await this.catalog.plan({ form, key, image: undefined });
    } catch (error) {
      if (error instanceof SluiceError) return undefined;
      throw error;
    }
  }
}

async function deletePlanned(
  client: pg.PoolClient,
  plan: ShapePlan,
  deletes: readonly MissedDelete[],
): Promise<number> {
  const keys = jsonArray(deletes.map(({ key }) => spanOf(Buffer.from(key))));
  const positions = `{${deletes.map(({ position }) => position).join(",")}}`;
  return (await client.query(deleteAgainSql(plan), [keys, positions])).rowCount ?? 0;
}

const notPermitted = "42501";

/** The statement or its values do not fit the table. */
function isOfTable(error: unknown): error is Error & { readonly code: string } {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    /^(22|42)[0-9A-Z]{3}$/.test(error.code)
  );
}

/** A lock that was not to be had in time, a deadlock. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "55P03" || error.code === "40P01");
}
