import type { Change, Operation, TableName } from "../change/change.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { SkipReason } from "../observe/progress.ts";
import { scanEnvelope, scanShape, type Envelope } from "./envelope.ts";
import { scanUsualEnvelope } from "./usual-envelope.ts";

/** One stream entry as it was read; field names and values alternate. */
export interface Entry {
  readonly id: string;
  readonly fields: readonly Buffer[];
  /** Of all names and values together. */
  readonly bytes: number;
}

/** A chunk of entries, decoded up to the first one that cannot be. */
export interface DecodedChunk {
  readonly entries: readonly Entry[];
  readonly changes: readonly Change[];
  readonly skipped: ReadonlyMap<SkipReason, number>;
  /** Why the entry at `entries.length` was not decoded; the entries before it are good. */
  readonly failure: SluiceError | undefined;
}

export interface DecodeOptions {
  readonly stream: string;
  /** What Debezium writes for an absent key or value. */
  readonly nullKey: string;
  readonly includes: (schema: string, table: string) => boolean;
}

/**
 * Turns entries into changes. Pure and synchronous. Every entry becomes a change, a counted skip, or the chunk's failure
 * (I8); the failure carries the entry's id and never its values.
 */
export class Decoder {
  private readonly options: DecodeOptions;
  private readonly tables = new Map<string, { readonly name: TableName; readonly included: boolean }>();

  constructor(options: DecodeOptions) {
    this.options = options;
  }

  decode(entries: readonly Entry[]): DecodedChunk {
    const changes: Change[] = [];
    const skipped = new Map<SkipReason, number>();
    for (let index = 0; index < entries.length; index++) {
      const entry = entries[index];
      if (entry === undefined) break;
      try {
        const result = this.decodeEntry(entry, index);
        if (typeof result === "string") skipped.set(result, (skipped.get(result) ?? 0) + 1);
        else changes.push(result);
      } catch (error) {
        const failure = asFailure(error).at({ stream: this.options.stream, entryId: entry.id });
        return { entries: entries.slice(0, index), changes, skipped, failure };
      }
    }
    return { entries, changes, skipped, failure: undefined };
  }

  private decodeEntry(entry: Entry, entryIndex: number): Change | SkipReason {
    const parts = messageParts(entry.fields);
    const { nullKey } = this.options;
    if (isPlaceholder(parts.value, nullKey)) return "tombstone";
    const envelope = scanUsualEnvelope(parts.value) ?? scanEnvelope(parts.value);
    if (envelope.op === "m") return "logical-message";
    if (!envelope.hasSource) return rejectForeign(envelope);
    const table = this.table(envelope);
    if (!table.included) return "table-excluded";
    if (envelope.position === undefined) {
      throw new SluiceError("POSITION_MISSING", "the change has no position", {
        place: { table: table.name.id },
      });
    }
    const keyBytes = isPlaceholder(parts.key, nullKey) ? undefined : parts.key;
    const op = operation(envelope);
    return {
      op,
      table: table.name,
      entryIndex,
      key: keyBytes?.toString("utf8"),
      image: op === "d" || op === "t" ? undefined : image(parts.value, envelope),
      shape: op === "d" && keyBytes !== undefined ? scanShape(keyBytes, 0).shape : envelope.shape,
      position: envelope.position,
      committedAtMs: envelope.committedAtMs,
      newKey: parts.newKey?.toString("utf8"),
      oldKey: parts.oldKey?.toString("utf8"),
    };
  }

  private table(envelope: Envelope): { readonly name: TableName; readonly included: boolean } {
    const id = `${envelope.schema}.${envelope.table}`;
    const known = this.tables.get(id);
    if (known !== undefined) return known;
    const table = {
      name: { schema: envelope.schema, table: envelope.table, id },
      included: this.options.includes(envelope.schema, envelope.table),
    };
    this.tables.set(id, table);
    return table;
  }
}

interface MessageParts {
  key: Buffer;
  value: Buffer;
  newKey: Buffer | undefined;
  oldKey: Buffer | undefined;
}

const keyName = Buffer.from("key");
const valueName = Buffer.from("value");

/** Extended format: fields `key`, `value` and headers in upper case. Compact: one field, its name the key. */
function messageParts(fields: readonly Buffer[]): MessageParts {
  const [first, second] = fields;
  if (first === undefined || second === undefined) throw notDebezium("the entry has no fields");
  if (fields.length === 2) return { key: first, value: second, newKey: undefined, oldKey: undefined };
  // Nearly every entry has these two fields in this order and no header.
  if (
    fields.length === 4 &&
    first.equals(keyName) &&
    fields[2]?.equals(valueName) === true &&
    fields[3] !== undefined
  ) {
    return { key: second, value: fields[3], newKey: undefined, oldKey: undefined };
  }
  let key: Buffer | undefined;
  let value: Buffer | undefined;
  let newKey: Buffer | undefined;
  let oldKey: Buffer | undefined;
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index]?.toString("latin1");
    if (name === "key") key = fields[index + 1];
    else if (name === "value") value = fields[index + 1];
    else if (name === "__DEBEZIUM.NEWKEY") newKey = fields[index + 1];
    else if (name === "__DEBEZIUM.OLDKEY") oldKey = fields[index + 1];
  }
  if (key === undefined || value === undefined)
    throw notDebezium("the entry lacks the field `key` or `value`");
  return { key, value, newKey, oldKey };
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

function image(value: Buffer, envelope: Envelope): Buffer {
  if (envelope.afterStart < 0) throw notDebezium("the envelope has no `after`");
  return value.subarray(envelope.afterStart, envelope.afterEnd);
}

function isPlaceholder(bytes: Buffer, placeholder: string): boolean {
  return bytes.length === placeholder.length && bytes.toString("latin1") === placeholder;
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
