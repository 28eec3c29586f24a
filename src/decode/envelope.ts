import { JsonScanError, ObjectCursor, skipSpace, skipString, skipValue } from "./json-scan.ts";

/** What the scanner found in one envelope; offsets are of the bytes that it stands in. One serves for many envelopes. */
export class Envelope {
  op = "";
  schema = "";
  table = "";
  /** `source.lsn`, or the second element of `source.sequence`; undefined when both are absent. */
  position: bigint | undefined = undefined;
  /** The last commit before this one in the primary's log, from `source.sequence`; undefined right after a start. */
  commitLsn: number | undefined = undefined;
  committedAtMs = 0;
  /** -1 when `after` is null or absent. */
  afterStart = -1;
  afterEnd = -1;
  /** Fingerprint of the names in `after`. */
  shape = 0;
  /** Connect's schema came along with the payload. */
  hasSchema = false;
  hasSource = false;

  clear(): void {
    this.op = "";
    this.schema = "";
    this.table = "";
    this.position = undefined;
    this.commitLsn = undefined;
    this.committedAtMs = 0;
    this.afterStart = -1;
    this.afterEnd = -1;
    this.shape = 0;
    this.hasSchema = false;
    this.hasSource = false;
  }
}

const nullStart = 0x6e;

// Scanning is synchronous and not re-entrant, so one cursor for each level serves all entries.
const envelopeCursor = new ObjectCursor();
const sourceCursor = new ObjectCursor();
const shapeCursor = new ObjectCursor();

/**
 * Reads op, table, position and the place of `after` of the envelope that stands from `from` to `to`; builds no object of the row.
 * Throws JsonScanError.
 */
export function scanEnvelope(bytes: Buffer, from: number, to: number, envelope: Envelope): void {
  // What does not end in time must not go on into the next entry's bytes.
  const value = bytes.subarray(0, to);
  envelope.clear();
  const cursor = envelopeCursor;
  cursor.open(value, skipSpace(value, from));
  while (cursor.next()) cursor.skipTo(scanMember(value, cursor, envelope));
  if (skipSpace(value, cursor.end) !== value.length) throw new JsonScanError("text follows the object");
}

/** Returns where the member's value ends. */
function scanMember(value: Buffer, cursor: ObjectCursor, envelope: Envelope): number {
  const at = cursor.valueStart;
  if (cursor.nameIs("after")) return scanAfter(value, at, envelope);
  if (cursor.nameIs("source")) return scanSource(value, at, envelope);
  const end = skipValue(value, at);
  if (cursor.nameIs("op")) envelope.op = value.toString("latin1", at + 1, end - 1);
  else if (cursor.nameIs("schema")) envelope.hasSchema = true;
  return end;
}

function scanAfter(value: Buffer, at: number, envelope: Envelope): number {
  if (value[at] === nullStart) return skipValue(value, at);
  const { shape, end } = scanShape(value, at);
  envelope.afterStart = at;
  envelope.afterEnd = end;
  envelope.shape = shape;
  return end;
}

/**
 * Fingerprint of an object's member names, in order: 32 bits of FNV-1a and the names' total length above them. Images with
 * the same names share one statement; names are compared in full once for each fingerprint.
 */
export function scanShape(bytes: Buffer, from: number): { readonly shape: number; readonly end: number } {
  let hash = 0x811c9dc5 | 0;
  let length = 0;
  const cursor = shapeCursor;
  cursor.open(bytes, from);
  while (cursor.next()) {
    const { nameEnd } = cursor;
    for (let at = cursor.nameStart; at < nameEnd; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
    // A quote, as it ends the name: it stands in none unescaped, so no two lists of names are alike.
    hash = Math.imul(hash ^ 0x22, 0x01000193);
    length += nameEnd - cursor.nameStart + 1;
    cursor.skipTo(skipValue(bytes, cursor.valueStart));
  }
  return { shape: (hash >>> 0) + (length & 0xfffff) * 2 ** 32, end: cursor.end };
}

function scanSource(value: Buffer, from: number, envelope: Envelope): number {
  if (value[from] === nullStart) return skipValue(value, from);
  envelope.hasSource = true;
  let sequenceAt = -1;
  const cursor = sourceCursor;
  cursor.open(value, from);
  while (cursor.next()) {
    const at = cursor.valueStart;
    if (cursor.nameIs("lsn")) envelope.position = scanInteger(value, at);
    else if (cursor.nameIs("ts_ms")) envelope.committedAtMs = Number(scanInteger(value, at) ?? 0);
    else if (cursor.nameIs("schema")) envelope.schema = scanText(value, at);
    else if (cursor.nameIs("table")) envelope.table = scanText(value, at);
    else if (cursor.nameIs("sequence")) sequenceAt = at;
    cursor.skipTo(skipValue(value, at));
  }
  if (sequenceAt >= 0) scanSequence(value, sequenceAt, envelope);
  return cursor.end;
}

/** A string's text; empty for anything else. */
function scanText(value: Buffer, at: number): string {
  if (value[at] !== 0x22) return "";
  const raw = value.toString("utf8", at + 1, skipString(value, at) - 1);
  return raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw;
}

/** A whole number of any size; undefined for null and anything else. */
function scanInteger(value: Buffer, at: number): bigint | undefined {
  const end = skipValue(value, at);
  // Up to 15 digits a float is exact, and much cheaper to gather.
  if (end - at > 15) return bigInteger(value.toString("latin1", at, end));
  let number = 0;
  for (let index = at; index < end; index++) {
    const digit = (value[index] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return bigInteger(value.toString("latin1", at, end));
    number = number * 10 + digit;
  }
  return BigInt(number);
}

function bigInteger(text: string): bigint | undefined {
  return /^-?\d+$/.test(text) ? BigInt(text) : undefined;
}

/**
 * `"[\"last commit\",\"lsn\"]"`: the first may be null, the second is where incremental snapshots say their position. A float is
 * exact up to 9 petabytes of log, and commits are only compared.
 */
function scanSequence(value: Buffer, at: number, envelope: Envelope): void {
  const text = value.toString("latin1", at, skipValue(value, at));
  const [commit, lsn] = text.split(",");
  const commitDigits = /\d+/.exec(commit ?? "")?.[0];
  const lsnDigits = /\d+/.exec(lsn ?? "")?.[0];
  if (commitDigits !== undefined) envelope.commitLsn = Number(commitDigits);
  if (envelope.position === undefined && lsnDigits !== undefined) envelope.position = BigInt(lsnDigits);
}
