import { isText, JsonScanError, scanObject, skipSpace, skipString, skipValue } from "./json-scan.ts";

/** What the scanner found in one envelope; spans are offsets into the entry's `value`. */
export interface Envelope {
  op: string;
  schema: string;
  table: string;
  /** `source.lsn`, or the second element of `source.sequence`; undefined when both are absent. */
  position: bigint | undefined;
  committedAtMs: number;
  /** -1 when `after` is null or absent. */
  afterStart: number;
  afterEnd: number;
  /** Fingerprint of the names in `after`. */
  shape: number;
  /** Connect's schema came along with the payload. */
  hasSchema: boolean;
  hasSource: boolean;
}

const nullStart = 0x6e;

/** Reads op, table, position and the place of `after`; builds no object of the row. Throws JsonScanError. */
export function scanEnvelope(value: Buffer): Envelope {
  const envelope: Envelope = {
    op: "",
    schema: "",
    table: "",
    position: undefined,
    committedAtMs: 0,
    afterStart: -1,
    afterEnd: -1,
    shape: 0,
    hasSchema: false,
    hasSource: false,
  };
  const end = scanObject(value, skipSpace(value, 0), (nameStart, nameEnd, at) => {
    switch (value[nameStart]) {
      case 0x61: // a
        if (isText(value, nameStart, nameEnd, "after")) return scanAfter(value, at, envelope);
        break;
      case 0x6f: // o
        if (isText(value, nameStart, nameEnd, "op")) {
          const valueEnd = skipValue(value, at);
          envelope.op = value.toString("latin1", at + 1, valueEnd - 1);
          return valueEnd;
        }
        break;
      case 0x73: // s
        if (isText(value, nameStart, nameEnd, "source")) return scanSource(value, at, envelope);
        if (isText(value, nameStart, nameEnd, "schema")) envelope.hasSchema = true;
        break;
      default:
    }
    return -1;
  });
  if (skipSpace(value, end) !== value.length) throw new JsonScanError("text follows the object");
  return envelope;
}

function scanAfter(value: Buffer, at: number, envelope: Envelope): number {
  if (value[at] === nullStart) return -1;
  const fingerprint = scanShape(value, at);
  envelope.afterStart = at;
  envelope.afterEnd = fingerprint.end;
  envelope.shape = fingerprint.shape;
  return fingerprint.end;
}

/**
 * Fingerprint of an object's member names, in order: 32 bits of FNV-1a and the names' total length above them. Images with
 * the same names share one statement; names are compared in full once for each fingerprint.
 */
export function scanShape(bytes: Buffer, from: number): { readonly shape: number; readonly end: number } {
  let hash = 0x811c9dc5 | 0;
  let length = 0;
  const end = scanObject(bytes, from, (nameStart, nameEnd) => {
    for (let at = nameStart; at < nameEnd; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
    hash = Math.imul(hash ^ 0x2c, 0x01000193);
    length += nameEnd - nameStart + 1;
    return -1;
  });
  return { shape: (hash >>> 0) + (length & 0xfffff) * 2 ** 32, end };
}

function scanSource(value: Buffer, from: number, envelope: Envelope): number {
  if (value[from] === nullStart) return -1;
  envelope.hasSource = true;
  let sequenceAt = -1;
  const end = scanObject(value, from, (nameStart, nameEnd, at) => {
    switch (nameEnd - nameStart) {
      case 3:
        if (isText(value, nameStart, nameEnd, "lsn")) envelope.position = scanInteger(value, at);
        break;
      case 5:
        if (isText(value, nameStart, nameEnd, "table")) return scanText(value, at, envelope, "table");
        if (isText(value, nameStart, nameEnd, "ts_ms"))
          envelope.committedAtMs = Number(scanInteger(value, at) ?? 0);
        break;
      case 6:
        if (isText(value, nameStart, nameEnd, "schema")) return scanText(value, at, envelope, "schema");
        break;
      case 8:
        if (isText(value, nameStart, nameEnd, "sequence")) sequenceAt = at;
        break;
      default:
    }
    return -1;
  });
  if (envelope.position === undefined && sequenceAt >= 0) envelope.position = scanSequence(value, sequenceAt);
  return end;
}

function scanText(value: Buffer, at: number, envelope: Envelope, into: "schema" | "table"): number {
  if (value[at] !== 0x22) return -1;
  const end = skipString(value, at);
  const raw = value.toString("utf8", at + 1, end - 1);
  envelope[into] = raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw;
  return end;
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

/** The second element of `"[\"last commit\",\"lsn\"]"`, where incremental snapshots say their position; the first may be null. */
function scanSequence(value: Buffer, at: number): bigint | undefined {
  const end = skipValue(value, at);
  const numbers = value.toString("latin1", at, end).match(/\d+/g);
  const lsn = numbers?.at(-1);
  return lsn === undefined ? undefined : BigInt(lsn);
}
