import { tableId, type Change, type Operation, type TableName } from "../change/change.ts";
import type { LogOrder } from "./log-order.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { SkipReason } from "../observe/progress.ts";
import type { Entry } from "./entry.ts";
import { Envelope, scanEnvelope } from "./envelope.ts";
import { isText } from "./json-scan.ts";
import type { Positions } from "./positions.ts";
import { ShapePatterns } from "./shape-pattern.ts";
import { scanUsualEnvelope } from "./usual-envelope.ts";

/** A chunk of entries, decoded up to the first one that cannot be. */
export interface DecodedChunk {
  readonly entries: readonly Entry[];
  readonly changes: readonly Change[];
  readonly skips: readonly Skip[];
  /** Why the entry at `entries.length` was not decoded; the entries before it are good. */
  readonly failure: SluiceError | undefined;
}

/** An entry that holds no change to apply. */
export interface Skip {
  readonly entryIndex: number;
  readonly reason: SkipReason;
}

export interface DecodeOptions {
  readonly stream: string;
  /** What Debezium writes for an absent key or value. */
  readonly nullKey: string;
  readonly includes: (schema: string, table: string) => boolean;
  /** What is added to the position of an entry's change; it never falls from one entry to a later one. */
  readonly base: (entryId: string) => bigint;
  /** Gives the shard's changes their positions. */
  readonly positions: Positions;
  /** Refuses a change that cannot come from the same log as those before it. */
  readonly order?: Pick<LogOrder, "admit">;
}

/**
 * Turns entries into changes. Pure and synchronous. Every entry becomes a change, a counted skip, or the chunk's failure
 * (I8); the failure carries the entry's id and never its values.
 */
export class Decoder {
  private readonly options: DecodeOptions;
  private readonly tables = new Map<string, DecodedTable>();
  private last: DecodedTable | undefined;
  private readonly envelope = new Envelope();

  constructor(options: DecodeOptions) {
    this.options = options;
  }

  decode(entries: readonly Entry[]): DecodedChunk {
    const changes: Change[] = [];
    const skips: Skip[] = [];
    const { order } = this.options;
    for (let index = 0; index < entries.length; index++) {
      const entry = entries[index];
      if (entry === undefined) break;
      try {
        const result = this.decodeEntry(entry, index);
        if (typeof result === "string") skips.push({ entryIndex: index, reason: result });
        else {
          order?.admit(result);
          changes.push(result);
        }
      } catch (error) {
        const failure = asFailure(error).at({ stream: this.options.stream, entryId: entry.id });
        return { entries: entries.slice(0, index), changes, skips, failure };
      }
    }
    return { entries, changes, skips, failure: undefined };
  }

  private decodeEntry(entry: Entry, entryIndex: number): Change | SkipReason {
    const { buffer } = entry;
    const parts = messageParts(entry);
    const { value } = parts;
    if (isPlaceholder(buffer, value, this.options.nullKey)) return "tombstone";
    const { envelope } = this;
    if (!scanUsualEnvelope(buffer, value.start, value.end, envelope))
      scanEnvelope(buffer, value.start, value.end, envelope);
    if (envelope.op === "m") return "logical-message";
    if (!envelope.hasSource) return rejectForeign(envelope);
    const table = this.table(envelope);
    return table.included ? this.changeOf(entry, entryIndex, parts, envelope, table.name) : "table-excluded";
  }

  private changeOf(
    { buffer, id }: Entry,
    entryIndex: number,
    { key, newKey, oldKey }: MessageParts,
    envelope: Envelope,
    table: TableName,
  ): Change {
    const { nullKey, positions } = this.options;
    if (envelope.position === undefined)
      throw new SluiceError("POSITION_MISSING", "the change has no position", { place: { table: table.id } });
    const keyed = !isPlaceholder(buffer, key, nullKey);
    const op = operation(envelope);
    if (keyed) keyShapes.scan(buffer, key.start);
    const keyShape = keyed ? keyShapes.shape : 0;
    const base = this.options.base(id);
    const logged = base === 0n ? envelope.position : base + envelope.position;
    const committed = envelope.commitLsn === undefined ? undefined : envelope.commitLsn + Number(base);
    const position = positions.of(op, logged, committed);
    return {
      op,
      table,
      entryIndex,
      key: keyed ? textOf(buffer, key) : undefined,
      image: op === "d" || op === "t" ? undefined : image(buffer, envelope),
      shape: op === "d" && keyed ? keyShape : envelope.shape,
      keyShape,
      position,
      logged,
      commitLsn: committed ?? (position === logged ? Number(logged) : positions.snapshotLsn),
      committedAtMs: envelope.committedAtMs,
      newKey: newKey && textOf(buffer, newKey),
      oldKey: oldKey && textOf(buffer, oldKey),
    };
  }

  private table(envelope: Envelope): DecodedTable {
    const { last } = this;
    if (last?.name.table === envelope.table && last.name.schema === envelope.schema) return last;
    const id = tableId(envelope.schema, envelope.table);
    const known = this.tables.get(id);
    if (known !== undefined) return (this.last = known);
    const table = {
      name: { schema: envelope.schema, table: envelope.table, id },
      included: this.options.includes(envelope.schema, envelope.table),
    };
    this.tables.set(id, table);
    return (this.last = table);
  }
}

/** Shared by all shards: their keys are of the same tables. */
const keyShapes = new ShapePatterns();

interface DecodedTable {
  readonly name: TableName;
  readonly included: boolean;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

interface MessageParts {
  readonly key: Span;
  readonly value: Span;
  readonly newKey?: Span | undefined;
  readonly oldKey?: Span | undefined;
}

/** Extended format: fields `key`, `value` and headers in upper case. Compact: one field, its name the key. */
function messageParts({ buffer, spans }: Entry): MessageParts {
  if (spans.length < 4) throw notDebezium("the entry has no fields");
  if (spans.length === 4) return { key: spanAt(spans, 0), value: spanAt(spans, 2) };
  // Nearly every entry has these two fields in this order and no header.
  if (spans.length === 8 && isName(buffer, spans, 0, "key") && isName(buffer, spans, 4, "value")) {
    return { key: spanAt(spans, 2), value: spanAt(spans, 6) };
  }
  const parts = new Map<string, Span>();
  for (let index = 0; index + 3 < spans.length; index += 4) {
    parts.set(textOf(buffer, spanAt(spans, index)), spanAt(spans, index + 2));
  }
  const [key, value] = [parts.get("key"), parts.get("value")];
  if (key === undefined || value === undefined)
    throw notDebezium("the entry lacks the field `key` or `value`");
  return { key, value, newKey: parts.get("__DEBEZIUM.NEWKEY"), oldKey: parts.get("__DEBEZIUM.OLDKEY") };
}

function spanAt(spans: readonly number[], index: number): Span {
  return { start: spans[index] ?? 0, end: spans[index + 1] ?? 0 };
}

function isName(buffer: Buffer, spans: readonly number[], index: number, name: string): boolean {
  return isText(buffer, spans[index] ?? 0, spans[index + 1] ?? 0, name);
}

function textOf(buffer: Buffer, span: Span): string {
  return buffer.toString("utf8", span.start, span.end);
}

function operation(envelope: Envelope): Operation {
  switch (envelope.op) {
    case "c":
    case "u":
    case "r":
    case "d":
    case "t":
      return envelope.op;
    default:
      throw notDebezium("the envelope's op is none that Debezium writes");
  }
}

function image(buffer: Buffer, envelope: Envelope): Buffer {
  if (envelope.afterStart < 0) throw notDebezium("the envelope has no `after`");
  return buffer.subarray(envelope.afterStart, envelope.afterEnd);
}

function isPlaceholder(buffer: Buffer, { start, end }: Span, placeholder: string): boolean {
  return isText(buffer, start, end, placeholder);
}

function rejectForeign(envelope: Envelope): never {
  if (envelope.hasSchema) throw new SluiceError("ENTRY_WITH_SCHEMA", "the entry carries its schema");
  throw notDebezium("the value has no source block");
}

function notDebezium(message: string, cause?: unknown): SluiceError {
  return new SluiceError("ENTRY_NOT_DEBEZIUM", message, { cause });
}

function asFailure(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return notDebezium(`the value is not a JSON object: ${reason}`, error);
}
