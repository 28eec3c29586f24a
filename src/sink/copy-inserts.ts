import type pg from "pg";
import type { Work } from "../batch/work.ts";
import type { ShapePlan } from "../catalog/shape-plan.ts";
import { copyRow, CopyText } from "../decode/copy-text.ts";
import { classify } from "./classify.ts";
import { copyRows } from "./copy-query.ts";
import { copySql } from "./statements/write-rows.ts";

/** Below it the statement that is prepared costs less than a COPY, which is planned anew each time. */
const fewestRows = 32;
const firstPause = 16;
const longestPause = 4_096;

/** Thrown for a COPY that was refused: a row of that key is there, or a value is wrong. The batch is then done without COPY. */
export class CopyRefused extends Error {
  readonly table: string;

  constructor(table: string, cause: unknown) {
    super(`COPY into ${table} was refused`, { cause });
    this.table = table;
  }
}

/**
 * Whether new rows of a table go in by COPY, which takes a third of the time of an INSERT that looks for conflicts. It can only insert: a
 * change that is sent or read again fails it. Then it rests for some batches, and for longer each time it fails again.
 */
export class CopyTrials {
  private readonly rests = new Map<string, { left: number; pause: number }>();
  private readonly spare: CopyText[] = [];

  /** The rows as COPY reads them; undefined: they go the other way. */
  textOf(plan: ShapePlan, work: readonly Work[]): CopyText | undefined {
    if (plan.copy === undefined || work.length < fewestRows || this.rest(plan.table.name.id))
      return undefined;
    const text = this.spare.pop() ?? new CopyText();
    text.length = 0;
    for (const { image, position } of work) {
      if (copyRow(image, plan.copy, position, text)) continue;
      this.spare.push(text);
      return undefined;
    }
    return text;
  }

  /** Throws CopyRefused when it is not a matter of trying again. */
  async copy(client: pg.ClientBase, plan: ShapePlan, text: CopyText): Promise<number> {
    const table = plan.table.name.id;
    try {
      const written = await copyRows(client, copySql(plan), text.bytes.subarray(0, text.length));
      // Only what was answered is no longer being sent.
      this.spare.push(text);
      this.rests.delete(table);
      return written;
    } catch (error) {
      throw classify(error).reaction === "retry" ? error : new CopyRefused(table, error);
    }
  }

  refused(table: string): void {
    const pause = Math.min(longestPause, (this.rests.get(table)?.pause ?? firstPause / 2) * 2);
    this.rests.set(table, { left: pause, pause });
  }

  private rest(table: string): boolean {
    const rest = this.rests.get(table);
    if (rest === undefined || rest.left === 0) return false;
    rest.left--;
    return true;
  }
}
