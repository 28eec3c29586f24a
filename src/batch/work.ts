import type { ShapePlan, WrittenColumn } from "../catalog/shape-plan.ts";
import type { Change } from "../change/change.ts";
import { memberName, members } from "../decode/json-scan.ts";

/**
 * What a change asks of the read database.
 * `upsert`: the whole row is known. `partial`: an update that leaves out unchanged large values. `moved`: the insert half of a
 * key change that leaves them out; the old key's delete saved them. `append`: a row of a table without a key.
 */
export type WorkKind = "upsert" | "partial" | "moved" | "append" | "delete" | "truncate";

export interface Work {
  readonly kind: WorkKind;
  readonly change: Change;
  readonly plan: ShapePlan;
  /** The row's image; of a delete the key's object; of a truncate empty. */
  readonly image: Buffer;
  /** Names of the columns whose unchanged large values the image leaves out. */
  readonly absent: ReadonlySet<string>;
  /** Position of the newest change folded into this one. */
  readonly position: bigint;
  /** Nothing but a change that is sent again finds a row of its key. */
  readonly isNew: boolean;
}

const none: ReadonlySet<string> = new Set();
const empty = Buffer.alloc(0);

export function workOf(change: Change, plan: ShapePlan): Work {
  const isNew = (change.op === "c" || change.op === "r") && change.oldKey === undefined;
  const base = { change, plan, position: change.position, absent: none, isNew };
  if (change.op === "t") return { ...base, kind: "truncate", image: empty };
  if (change.op === "d") return { ...base, kind: "delete", image: Buffer.from(change.key ?? "") };
  const image = change.image ?? empty;
  if (change.key === undefined) return { ...base, kind: "append", image };
  const absent = absentColumns(change, plan, image);
  if (absent.size === 0) return { ...base, kind: "upsert", image };
  return { ...base, kind: change.oldKey === undefined ? "partial" : "moved", image, absent };
}

/** Inserts and snapshot reads always carry every value, unless they are the second half of a key change. */
function absentColumns(change: Change, plan: ShapePlan, image: Buffer): ReadonlySet<string> {
  const complete = change.op === "r" || (change.op === "c" && change.oldKey === undefined);
  if (complete || !plan.placeholders.some((each) => image.includes(each))) return none;
  const columns = new Map<string, WrittenColumn>(plan.columns.map((column) => [column.name, column]));
  const absent = new Set<string>();
  for (const member of members(image)) {
    const column = columns.get(memberName(image, member));
    if (column === undefined) continue;
    const value = image.toString("utf8", member.valueStart, member.valueEnd);
    if (column.placeholders.includes(value)) absent.add(column.name);
  }
  return absent;
}
