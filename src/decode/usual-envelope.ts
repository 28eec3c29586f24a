import type { Envelope } from "./envelope.ts";
import { isSame, skipValue } from "./json-scan.ts";
import { ShapePatterns } from "./shape-pattern.ts";
import { TailPatterns } from "./tail-pattern.ts";

const beforeNull = Buffer.from('{"before":null,"after":');
const before = Buffer.from('{"before":');
const after = Buffer.from(',"after":');
const nullStart = 0x6e;
const braceOpen = 0x7b;
const braceClose = 0x7d;
const sourceStart = ',"source":{';

/**
 * The envelope as Debezium's converter always writes it: before, after, source, …, op, without white space. What follows `after`
 * is searched natively for the few names that matter, which costs a third of a scan by members. A name with its quotes and
 * colon cannot stand inside a string, where quotes are escaped. False for anything unusual, which is scanned in full.
 */
export function scanUsualEnvelope(bytes: Buffer, from: number, to: number, envelope: Envelope): boolean {
  const afterStart = startOfAfter(bytes, from);
  if (afterStart < 0 || bytes[to - 1] !== braceClose) return false;
  envelope.clear();
  let tailStart = afterStart + 4;
  if (bytes[afterStart] !== nullStart) {
    if (bytes[afterStart] !== braceOpen) return false;
    shapes.scan(bytes, afterStart);
    envelope.afterStart = afterStart;
    envelope.afterEnd = shapes.end;
    envelope.shape = shapes.shape;
    tailStart = shapes.end;
  }
  if (tailStart >= to) return false;
  if (tails.read(bytes, tailStart, to, envelope)) return true;
  const tail = bytes.toString("latin1", tailStart, to);
  if (!tail.startsWith(sourceStart) || !readTail(tail, envelope)) return false;
  tails.learn(tail, envelope);
  return true;
}

/** Shared by all shards: their envelopes are of the same tables. */
const shapes = new ShapePatterns();
const tails = new TailPatterns();

function startOfAfter(bytes: Buffer, from: number): number {
  const start = startOfPlainAfter(bytes, from);
  if (start >= 0) return start;
  if (!startsWith(bytes, from, before)) return -1;
  const end = skipValue(bytes, from + before.length);
  return isSame(bytes, end, end + after.length, after) ? end + after.length : -1;
}

/** Where `after` begins behind a `before` that is null, or -1. */
export function startOfPlainAfter(bytes: Buffer, from: number): number {
  return startsWith(bytes, from, beforeNull) ? from + beforeNull.length : -1;
}

function startsWith(bytes: Buffer, from: number, prefix: Buffer): boolean {
  for (let index = 0; index < prefix.length; index++) {
    if (bytes[from + index] !== prefix[index]) return false;
  }
  return true;
}

/** False when something is not where it usually is. */
function readTail(tail: string, envelope: Envelope): boolean {
  const op = tail.lastIndexOf('"op":"');
  const time = tail.indexOf('"ts_ms":');
  const schema = tail.indexOf('"schema":"', time);
  const table = tail.indexOf('","table":"', schema);
  const lsn = tail.indexOf('"lsn":', table);
  // Each is found behind the one before it, so all but `op` are the source's.
  if (time < 0 || schema < 0 || table < 0 || lsn < 0 || op < lsn) return false;
  const tableEnd = tail.indexOf('"', table + 11);
  const lsnEnd = endOfDigits(tail, lsn + 6);
  const timeEnd = endOfDigits(tail, time + 8);
  if (!",}".includes(tail[lsnEnd] ?? "") || !",}".includes(tail[timeEnd] ?? "")) return false;
  if (lsnEnd === lsn + 6 || timeEnd === time + 8 || tail[op + 7] !== '"') return false;
  const sequence = tail.indexOf('"sequence":"[', time);
  if (sequence < 0 || sequence > schema || !usualSequence.test(tail.slice(sequence, schema))) return false;
  const names = tail.slice(schema + 10, tableEnd);
  if (!plainNames.test(names)) return false;
  envelope.schema = tail.slice(schema + 10, table);
  envelope.table = tail.slice(table + 11, tableEnd);
  envelope.commitLsn = firstOfSequence(tail, sequence + 13);
  envelope.position = BigInt(tail.slice(lsn + 6, lsnEnd));
  envelope.committedAtMs = Number(tail.slice(time + 8, timeEnd));
  envelope.op = tail.slice(op + 6, op + 7);
  envelope.hasSource = true;
  return true;
}

/** The schema and the table with what stands between them: ASCII without escapes. */
const plainNames = /^[ !#-[\]-~]+","table":"[ !#-[\]-~]+$/;

const usualSequence = /^"sequence":"\[(?:null|\\"\d+\\"),\\"\d+\\"\]",/;

/** `\"123\",…` or `null,…` */
function firstOfSequence(tail: string, at: number): number | undefined {
  const from = at + 2;
  const end = endOfDigits(tail, from);
  return end === from ? undefined : Number(tail.slice(from, end));
}

function endOfDigits(text: string, from: number): number {
  let at = from;
  while (isDigit(text.charCodeAt(at))) at++;
  return at;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
