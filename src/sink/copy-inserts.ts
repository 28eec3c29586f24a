import type { Work } from "../batch/work.ts";
import type { ShapePlan } from "../catalog/shape-plan.ts";
import { copyBinary } from "../decode/copy-binary.ts";
import type { CopyData } from "../decode/copy-data.ts";
import { copyRow } from "../decode/copy-text.ts";
import { classify } from "./classify.ts";
import { copySql, type CopyFormat } from "./statements/write-rows.ts";
import type { Step } from "./step-sequence.ts";
import { sqlOf } from "./work-queries.ts";

/** Below it the statement that is planned once costs less than a COPY, which is planned anew each time. */
const fewestRows = 32;
/**
 * PostgreSQL buffers up to a thousand rows of a COPY, and 64 KiB of its text, and notes each buffered row in a table that it looks through for each
 * of them: for a thousand of them that is 0.8 ms. Rows in binary form are not counted in bytes, so there are fewer of them in each COPY.
 */
const mostBinaryRows = 128;
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

  /** Whether so many new rows should. */
  takes(plan: ShapePlan, rows: number): boolean {
    return plan.copy !== undefined && rows >= fewestRows && !this.rest(plan.table.name.id);
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

/** How many rows at a time. */
export function rowsOfCopy(plan: ShapePlan): number {
  return plan.binary === undefined ? Infinity : mostBinaryRows;
}

/** Writes the rows to `data` as COPY reads them, and says how; undefined: a form refuses a value. */
export function writeCopy(plan: ShapePlan, work: readonly Work[], data: CopyData): CopyFormat | undefined {
  if (plan.binary !== undefined && copyBinary(work, plan.binary, data)) return "binary";
  if (plan.copy === undefined) return undefined;
  data.clear();
  for (const each of work) if (!copyRow(each, plan.copy, each.position, data)) return undefined;
  return "text";
}

/** Fails with CopyRefused when it is not a matter of trying again. */
export function copyStep(plan: ShapePlan, format: CopyFormat, data: CopyData): Step {
  const refused = (error: unknown): unknown =>
    classify(error).reaction === "retry" || isTimeLimit(error)
      ? error
      : new CopyRefused(plan.table.name.id, error);
  const rows = data.bytes.subarray(0, data.length);
  const text = sqlOf(plan, `copy ${format}`, () => copySql(plan, format));
  return { text, values: [], rows, failed: refused };
}

/** It may have waited for a TRUNCATE's lock. */
function isTimeLimit(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "57014";
}
