import type pg from "pg";
import { fold, type Segment } from "../batch/fold.ts";
import { workOf, type Work } from "../batch/work.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { ShapePlan } from "../catalog/shape-plan.ts";
import type { Change, ChangeForm } from "../change/change.ts";
import type { DecodedChunk } from "../decode/decode-chunk.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { classify } from "./classify.ts";
import type { RowAccess } from "./replay-rows.ts";
import type { Outcome, ReplayTally, TableOutcome } from "./replay-tally.ts";
import { Interrupted, retrying, type Patience } from "./retrying.ts";
import { RowsUnknown } from "./write-segment.ts";

export interface ReplayWriterOptions {
  readonly pool: pg.Pool;
  readonly catalog: Catalog;
  readonly rows: RowAccess;
  readonly tally: ReplayTally;
  readonly patience: Patience;
}

/**
 * Writes chunks of a replay, each in one transaction that knows nothing of checkpoints: the live pipeline's place never moves. What
 * cannot be written is left out and counted; everything else is (I8).
 */
export class ReplayWriter {
  private readonly options: ReplayWriterOptions;

  constructor(options: ReplayWriterOptions) {
    this.options = options;
  }

  /** Throws Interrupted when it is to stop while the read database does not answer. */
  async write(chunk: Pick<DecodedChunk, "entries" | "changes">): Promise<void> {
    const idOf = (change: Change): string => chunk.entries.idOf(change.entryIndex);
    await this.writeRange(chunk.changes, idOf, true);
  }

  /** A range that fails on a change is written in halves, in order, until that change stands alone. */
  private async writeRange(
    changes: readonly Change[],
    idOf: (change: Change) => string,
    fresh: boolean,
  ): Promise<void> {
    const [first] = changes;
    if (first === undefined) return;
    const { catalog, patience, tally } = this.options;
    try {
      tally.add(await retrying(() => this.attempt(changes), patience), idOf);
    } catch (failure) {
      if (failure instanceof Interrupted) throw failure;
      const { error } = classify(failure);
      // The tables may have changed since they were read.
      catalog.forget();
      if (fresh) return this.writeRange(changes, idOf, false);
      if (changes.length === 1) {
        tally.add({ changes, folded: new Map(), steps: [], leftOut: [{ change: first, error }] }, idOf);
        return;
      }
      const middle = changes.length >> 1;
      await this.writeRange(changes.slice(0, middle), idOf, false);
      await this.writeRange(changes.slice(middle), idOf, false);
    }
  }

  /** A statement over its time limit may have been too large; of one change alone it only means that the server is busy. */
  private async attempt(changes: readonly Change[]): Promise<Outcome> {
    try {
      return await this.transact(changes);
    } catch (failure) {
      throw changes.length === 1 ? classify(failure).error : failure;
    }
  }

  private async transact(changes: readonly Change[]): Promise<Outcome> {
    const { works, leftOut } = await this.plan(changes);
    const { segments, folded } = fold(works);
    const steps = segments.length === 0 ? [] : await this.inTransaction(segments, works);
    return { changes, folded, steps, leftOut };
  }

  private async inTransaction(
    segments: readonly Segment[],
    works: readonly Work[],
  ): Promise<readonly TableOutcome[]> {
    const { pool, rows } = this.options;
    await rows.prepare(pool, works);
    const client = await pool.connect();
    // A connection that breaks fails its query too; without a listener it would also end the process.
    client.on("error", ignore);
    try {
      await client.query(rows.begin);
      const steps: TableOutcome[] = [];
      for (const segment of segments) {
        for (const table of byTable(segment.work)) steps.push(await rows.apply(client, table));
      }
      for (const table of byTable(works)) steps.push(takenBack(table, await rows.finish(client, table)));
      await client.query("COMMIT");
      client.release();
      return steps;
    } catch (failure) {
      await rollBack(client, failure);
      throw asError(failure);
    } finally {
      client.off("error", ignore);
    }
  }

  /** The changes that can be written, each with its plan; a plan that cannot be made is asked for once. */
  private async plan(
    changes: readonly Change[],
  ): Promise<{ readonly works: readonly Work[]; readonly leftOut: Outcome["leftOut"] }> {
    const works: Work[] = [];
    const leftOut: Outcome["leftOut"][number][] = [];
    const refused = new Map<ChangeForm, SluiceError>();
    for (const change of changes) {
      const plan = refused.get(change.form) ?? (await this.planOf(change));
      if (plan instanceof SluiceError) refused.set(change.form, plan);
      if (plan instanceof SluiceError) leftOut.push({ change, error: plan });
      else if (change.key === undefined && change.op !== "t")
        leftOut.push({ change, error: keyless(change) });
      else works.push(workOf(change, plan));
    }
    return { works, leftOut };
  }

  /** An error that trying again may mend is thrown. */
  private async planOf(change: Change): Promise<ShapePlan | SluiceError> {
    const { catalog } = this.options;
    const known = catalog.knownPlan(change);
    if (known !== undefined) return known;
    try {
      return await catalog.plan(change);
    } catch (failure) {
      const { reaction, error } = classify(failure);
      if (reaction === "retry") throw failure;
      return error;
    }
  }
}

const ignore = (): void => undefined;

/** Without a key there is no guard: what was applied once would stand there twice. */
function keyless(change: Change): SluiceError {
  return new SluiceError(
    "TABLE_WITHOUT_KEY",
    `${change.table.id} has no key: its rows would stand there twice`,
    {
      remedy: `Leave the table out with --table '!${change.table.id}'; an append-only copy only comes back by a new snapshot.`,
    },
  );
}

/** In one order for all, so that fewer transactions wait for each other in a circle. */
function byTable(works: readonly Work[]): readonly (readonly Work[])[] {
  const tables = new Map<string, Work[]>();
  for (const work of works) {
    const table = tables.get(work.change.table.id);
    if (table === undefined) tables.set(work.change.table.id, [work]);
    else table.push(work);
  }
  return [...tables].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, each]) => each);
}

function takenBack(works: readonly Work[], rows: number): TableOutcome {
  const table = works[0]?.change.table.id ?? "";
  return { table, written: -rows, stale: rows, partial: 0, settled: [], unknown: [] };
}

function asError(failure: unknown): unknown {
  if (!(failure instanceof RowsUnknown)) return failure;
  // Its row went between two statements of the transaction; the next try sees why.
  return new SluiceError("LARGE_VALUE_UNKNOWN", "the row's large values are not known here", {
    cause: failure,
  });
}

/** Ends the transaction; a connection that does not answer is thrown away. */
async function rollBack(client: pg.PoolClient, failure: unknown): Promise<void> {
  const answered =
    failure instanceof SluiceError ||
    failure instanceof RowsUnknown ||
    classify(failure).error.code !== "DATABASE_UNAVAILABLE";
  try {
    if (answered) await client.query("ROLLBACK");
    client.release(!answered);
  } catch {
    client.release(true);
  }
}
