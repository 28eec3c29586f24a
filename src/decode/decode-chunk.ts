import {
  Change,
  tableId,
  type ChangeForm,
  type Commit,
  type Operation,
  type TableName,
} from "../change/change.ts";
import { countByTable, type TableChanges } from "../change/count-changes.ts";
import type { LogOrder } from "./log-order.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { SkipReason } from "../observe/progress.ts";
import type { Entries } from "./entries.ts";
import { EnvelopeForms } from "./envelope-forms.ts";
import { Envelope, scanEnvelope } from "./envelope.ts";
import { isSame } from "./json-scan.ts";
import { EnvelopeRecord } from "./kernel/envelopes.ts";
import { Message, notDebezium } from "./message.ts";
import type { Positions } from "./positions.ts";
import { ShapePatterns } from "./shape-pattern.ts";
import { scanUsualEnvelope } from "./usual-envelope.ts";

/** A chunk of entries, decoded up to the first one that cannot be. */
export interface DecodedChunk {
  readonly entries: Entries;
  readonly changes: readonly Change[];
  /** How many changes there are of each table: counted while they are in the processor's cache. */
  readonly tables: readonly TableChanges[];
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
  /** What is added to the position of an entry's change; it never falls from one entry to a later one. Undefined: nothing, to any. */
  readonly base: ((entryId: string) => bigint) | undefined;
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
  private readonly nullKey: Buffer;
  private readonly tables = new Map<string, Map<string, DecodedTable>>();
  private last: DecodedTable | undefined;
  private commit: Commit = { lsn: 0, atMs: 0 };
  // Of the entry at hand; decoding is synchronous.
  private readonly message = new Message();
  private readonly envelope = new Envelope();

  constructor(options: DecodeOptions) {
    this.options = options;
    this.nullKey = Buffer.from(options.nullKey);
  }

  decode(entries: Entries): DecodedChunk {
    const changes: Change[] = [];
    const skips: Skip[] = [];
    const { order } = this.options;
    let index = 0;
    const take = (result: Change | SkipReason): void => {
      if (typeof result === "string") skips.push({ entryIndex: index, reason: result });
      else {
        order?.admit(result);
        changes.push(result);
      }
      index++;
    };
    try {
      while (index < entries.length) {
        const known = forms.read(entries, index);
        for (let number = 0; number < known; number++) take(this.decodeKnown(entries, index, number));
        if (index < entries.length) take(this.decodeEntry(entries, index));
      }
    } catch (error) {
      const place = { stream: this.options.stream, entryId: entries.idOf(index) };
      const failure = asFailure(error).at(place);
      return { entries: entries.slice(0, index), changes, tables: countByTable(changes), skips, failure };
    }
    return { entries, changes, tables: countByTable(changes), skips, failure: undefined };
  }

  /** The entry of that number among those that were read by their form. */
  private decodeKnown(entries: Entries, index: number, number: number): Change | SkipReason {
    const { message, envelope } = this;
    record.take(number);
    const form = forms.form(record.form);
    const table = this.table(form.table);
    if (!table.included) return "table-excluded";
    message.keyStart = record.keyStart;
    message.keyEnd = record.keyEnd;
    message.link = undefined;
    envelope.op = form.op;
    envelope.shape = form.shape;
    envelope.commitLsn = form.hasCommit ? record.commitLsn : undefined;
    envelope.committedAtMs = record.committedAtMs;
    envelope.afterStart = record.afterStart;
    envelope.afterEnd = record.afterEnd;
    message.keyShape = form.keyShape;
    message.keyHash = record.keyHash;
    return this.changeOf(entries, index, table, record.position);
  }

  private decodeEntry(entries: Entries, index: number): Change | SkipReason {
    const { message, envelope } = this;
    const { buffer } = entries;
    message.read(entries, index);
    const { valueStart, valueEnd } = message;
    if (isSame(buffer, valueStart, valueEnd, this.nullKey)) return "tombstone";
    if (!scanUsualEnvelope(buffer, valueStart, valueEnd, envelope))
      scanEnvelope(buffer, valueStart, valueEnd, envelope);
    if (envelope.op === "m") return "logical-message";
    if (!envelope.hasSource) return rejectForeign(envelope);
    const table = this.table(envelope);
    if (!table.included) return "table-excluded";
    const { position } = envelope;
    if (position === undefined)
      throw new SluiceError("POSITION_MISSING", "the change has no position", {
        place: { table: table.name.id },
      });
    this.readKey(buffer);
    const change = this.changeOf(entries, index, table, position);
    const { keyShape } = message;
    if (isPlainRow(change)) forms.learn(entries, index, message, envelope, { table: table.name, keyShape });
    return change;
  }

  /** Tells the message the shape of its key, or that it has none. */
  private readKey(buffer: Buffer): void {
    const { message } = this;
    message.keyHash = undefined;
    if (isSame(buffer, message.keyStart, message.keyEnd, this.nullKey)) {
      message.keyStart = message.keyEnd = -1;
      message.keyShape = 0;
      return;
    }
    keyShapes.scan(buffer, message.keyStart);
    if (keyShapes.end > message.keyEnd) throw notDebezium("the key is not a whole JSON object");
    message.keyShape = keyShapes.shape;
  }

  /** Of what message and envelope say. */
  private changeOf(entries: Entries, entryIndex: number, table: DecodedTable, found: bigint): Change {
    const { message, envelope } = this;
    const { keyShape } = message;
    const { positions, base: baseOf } = this.options;
    const op = operation(envelope);
    const hasKey = message.keyStart >= 0;
    const hasImage = op !== "d" && op !== "t";
    if (hasImage && envelope.afterStart < 0) throw notDebezium("the envelope has no `after`");
    const base = baseOf?.(entries.idOf(entryIndex)) ?? 0n;
    const logged = base === 0n ? found : base + found;
    const committed = envelope.commitLsn === undefined ? undefined : envelope.commitLsn + Number(base);
    const position = positions.of(op, logged, committed);
    const commitLsn = committed ?? (position === logged ? Number(logged) : positions.snapshotLsn);
    return new Change({
      form: formOf(table, op, op === "d" && hasKey ? keyShape : envelope.shape, keyShape),
      entryIndex,
      bytes: entries.buffer,
      keyStart: message.keyStart,
      keyEnd: message.keyEnd,
      keyHash: message.keyHash,
      imageStart: hasImage ? envelope.afterStart : -1,
      imageEnd: hasImage ? envelope.afterEnd : -1,
      position,
      logged,
      commit: this.commitOf(commitLsn, envelope.committedAtMs),
      link: message.link,
    });
  }

  private commitOf(lsn: number, atMs: number): Commit {
    if (lsn !== this.commit.lsn || atMs !== this.commit.atMs) this.commit = { lsn, atMs };
    return this.commit;
  }

  private table({ schema, table }: Pick<Envelope, "schema" | "table">): DecodedTable {
    const { last } = this;
    if (last?.name.table === table && last.name.schema === schema) return last;
    let ofSchema = this.tables.get(schema);
    if (ofSchema === undefined) this.tables.set(schema, (ofSchema = new Map()));
    let known = ofSchema.get(table);
    if (known === undefined) {
      const name = { schema, table, id: tableId(schema, table) };
      ofSchema.set(table, (known = { name, included: this.options.includes(schema, table), forms: [] }));
    }
    return (this.last = known);
  }
}

/** Shared by all shards: their entries are of the same tables. */
const keyShapes = new ShapePatterns();
const forms = new EnvelopeForms();
const record = new EnvelopeRecord();

/** A key and an image, and nothing else. */
function isPlainRow({ hasKey, imageStart, newKey, oldKey }: Change): boolean {
  return hasKey && imageStart >= 0 && newKey === undefined && oldKey === undefined;
}

interface DecodedTable {
  readonly name: TableName;
  readonly included: boolean;
  /** The newest first. */
  readonly forms: ChangeForm[];
}

function formOf({ name, forms }: DecodedTable, op: Operation, shape: number, keyShape: number): ChangeForm {
  for (const form of forms)
    if (form.op === op && form.shape === shape && form.keyShape === keyShape) return form;
  const form = { op, table: name, shape, keyShape };
  forms.unshift(form);
  return form;
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

function rejectForeign(envelope: Envelope): never {
  if (envelope.hasSchema) throw new SluiceError("ENTRY_WITH_SCHEMA", "the entry carries its schema");
  throw notDebezium("the value has no source block");
}

function asFailure(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return notDebezium(`the value is not a JSON object: ${reason}`, error);
}
