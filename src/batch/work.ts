import type { ShapePlan, WrittenColumn } from "../catalog/shape-plan.ts";
import type { Change } from "../change/change.ts";
import { memberName, members } from "../decode/json-scan.ts";
import { withValuesOf } from "../decode/overlay.ts";
import { bufferOf, type Span } from "../decode/span.ts";
import type { PlaceholderSearch } from "./placeholder-search.ts";

/**
 * What a change asks of the read database.
 * `upsert`: the whole row is known. `partial`: an update that leaves out unchanged large values. `moved`: the insert half of a
 * key change that leaves them out; the old key's delete saved them. `append`: a row of a table without a key.
 */
export type WorkKind = "upsert" | "partial" | "moved" | "append" | "delete" | "truncate";

type WorkFields = Pick<Work, "kind" | "change" | "plan" | "absent" | "isNew"> & {
  /** In place of the change's own; undefined: that. */
  readonly overlaid: Buffer | undefined;
};

/** As a span it is the row's image; of a delete the key's object; of a truncate empty. */
export class Work implements Span {
  readonly kind: WorkKind;
  /** The newest that is folded into this one. */
  readonly change: Change;
  readonly plan: ShapePlan;
  /** Names of the columns whose unchanged large values the image leaves out. */
  readonly absent: ReadonlySet<string>;
  /** Nothing but a change that is sent again finds a row of its key. */
  readonly isNew: boolean;
  private readonly overlaid: Buffer | undefined;

  constructor(fields: WorkFields) {
    this.kind = fields.kind;
    this.change = fields.change;
    this.plan = fields.plan;
    this.absent = fields.absent;
    this.isNew = fields.isNew;
    this.overlaid = fields.overlaid;
  }

  get position(): bigint {
    return this.change.position;
  }

  get bytes(): Buffer {
    return this.overlaid ?? this.change.bytes;
  }

  get start(): number {
    if (this.overlaid !== undefined) return 0;
    return this.kind === "delete" ? this.change.keyStart : this.change.imageStart;
  }

  get end(): number {
    if (this.overlaid !== undefined) return this.overlaid.length;
    return this.kind === "delete" ? this.change.keyEnd : this.change.imageEnd;
  }

  get image(): Buffer {
    return this.start < 0 ? empty : bufferOf(this);
  }

  /** A delete of the same key came before. */
  replacing(): Work {
    return this.with({ isNew: false });
  }

  /** With the values of the columns that it leaves out, but for those that the earlier image left out too. */
  over(earlier: Work): Work {
    const overlaid = withValuesOf(this.image, this.absent, earlier.image);
    if (earlier.kind === "upsert") return this.with({ kind: "upsert", overlaid, absent: none });
    return this.with({
      overlaid,
      absent: new Set([...this.absent].filter((name) => earlier.absent.has(name))),
    });
  }

  private with(fields: Partial<WorkFields>): Work {
    const { kind, change, plan, absent, isNew, overlaid } = this;
    return new Work({ kind, change, plan, absent, isNew, overlaid, ...fields });
  }
}

const none: ReadonlySet<string> = new Set();
const empty = Buffer.alloc(0);

/** `search`: in the read that the change is of. */
export function workOf(change: Change, plan: ShapePlan, search?: PlaceholderSearch): Work {
  const { op, hasKey, oldKey } = change;
  const isNew = (op === "c" || op === "r") && oldKey === undefined;
  const absent = hasKey ? absentColumns(change, plan, search) : none;
  return new Work({ kind: kindOf(change, absent), change, plan, absent, isNew, overlaid: undefined });
}

function kindOf({ op, hasKey, oldKey }: Change, absent: ReadonlySet<string>): WorkKind {
  if (op === "t") return "truncate";
  if (op === "d") return "delete";
  if (!hasKey) return "append";
  if (absent.size === 0) return "upsert";
  return oldKey === undefined ? "partial" : "moved";
}

/** Inserts and snapshot reads always carry every value, unless they are the second half of a key change. */
function absentColumns(
  change: Change,
  plan: ShapePlan,
  search: PlaceholderSearch | undefined,
): ReadonlySet<string> {
  const { op, oldKey } = change;
  const complete = op !== "u" && (op !== "c" || oldKey === undefined);
  if (complete || plan.placeholders.length === 0) return none;
  if (search?.mayHold(plan) === false) return none;
  const image = change.image ?? empty;
  if (!plan.placeholders.some((each) => image.includes(each))) return none;
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
