import type { Work } from "../batch/work.ts";
import type { ShapePlan } from "../catalog/shape-plan.ts";
import { copyRow, type CopyText } from "../decode/copy-text.ts";
import { classify } from "./classify.ts";
import { copySql } from "./statements/write-rows.ts";
import type { Step } from "./step-sequence.ts";
import { sqlOf } from "./work-queries.ts";

/** Below it the statement that is planned once costs less than a COPY, which is planned anew each time. */
const fewestRows = 32;
const firstPause = 16;
const longestPause = 256;

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

  /** The rows as COPY reads them, written to `text`; false: they go the other way. */
  write(plan: ShapePlan, work: readonly Work[], text: CopyText): boolean {
    if (plan.copy === undefined || work.length < fewestRows || this.rest(plan.table.name.id)) return false;
    text.clear();
    for (const each of work) if (!copyRow(each, plan.copy, each.position, text)) return false;
    return true;
  }

  succeeded(table: string): void {
    this.rests.delete(table);
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

/** Fails with CopyRefused when it is not a matter of trying again. */
export function copyStep(plan: ShapePlan, text: CopyText): Step {
  const refused = (error: unknown): unknown =>
    classify(error).reaction === "retry" || isTimeLimit(error)
      ? error
      : new CopyRefused(plan.table.name.id, error);
  const rows = text.bytes.subarray(0, text.length);
  return { text: sqlOf(plan, "copy", () => copySql(plan)), values: [], rows, failed: refused };
}

/** It may have waited for a TRUNCATE's lock. */
function isTimeLimit(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "57014";
}
