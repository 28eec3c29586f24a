/**
 * A scanner over JSON bytes that finds where values begin and end without building them. It trusts that brackets and quotes
 * match, as PostgreSQL parses every image again; what does not end inside the buffer throws.
 */

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const braceOpen = 0x7b;
const braceClose = 0x7d;
const bracketOpen = 0x5b;
const bracketClose = 0x5d;

export class JsonScanError extends Error {}

/** A member of an object; name and value as offsets into the buffer, the name without its quotes. */
export interface Member {
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

/** The offset of the next byte that is not white space. */
export function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at++;
  }
}

/** The offset behind the string whose opening quote is at `from`. */
export function skipString(bytes: Buffer, from: number): number {
  const length = bytes.length;
  let at = from + 1;
  // A short run is looped over faster than native search is called; behind an escape, such as JSON in a string has many of, another begins.
  let near = Math.min(length, at + 48);
  while (at < near) {
    const byte = bytes[at];
    if (byte === quote) return at + 1;
    at++;
    if (byte !== backslash) continue;
    at++;
    near = Math.min(length, at + 48);
  }
  return skipLongString(bytes, at);
}

function skipLongString(bytes: Buffer, from: number): number {
  let at = from;
  for (;;) {
    const end = bytes.indexOf(quote, at);
    if (end < 0) throw new JsonScanError("a string does not end");
    let backslashes = 0;
    while (end - 1 - backslashes >= from && bytes[end - 1 - backslashes] === backslash) backslashes++;
    if (backslashes % 2 === 0) return end + 1;
    at = end + 1;
  }
}

/** The offset behind the value that begins at `from`. */
export function skipValue(bytes: Buffer, from: number): number {
  const first = bytes[from];
  if (first === quote) return skipString(bytes, from);
  if (first === braceOpen || first === bracketOpen) return skipNested(bytes, from);
  return skipScalar(bytes, from);
}

function skipScalar(bytes: Buffer, from: number): number {
  let at = from;
  for (; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === comma || byte === braceClose || byte === bracketClose || byte === undefined || byte <= 0x20)
      break;
  }
  if (at === from) throw new JsonScanError("a value is missing");
  return at;
}

function skipNested(bytes: Buffer, from: number): number {
  let depth = 0;
  let at = from;
  while (at < bytes.length) {
    const byte = bytes[at];
    if (byte === quote) {
      at = skipString(bytes, at);
      continue;
    }
    at++;
    if (byte === braceOpen || byte === bracketOpen) depth++;
    else if (byte === braceClose || byte === bracketClose) {
      depth--;
      if (depth === 0) return at;
    }
  }
  throw new JsonScanError("an object or array does not end");
}

/**
 * Walks an object's members: after each `next` that is true, the offsets of a name and of where its value starts; the caller
 * says with `skipTo` where the value ends. One cursor is used for many objects, so that a row costs no allocation.
 */
export class ObjectCursor {
  /** Without its quotes. */
  nameStart = 0;
  nameEnd = 0;
  valueStart = 0;
  /** Behind the object, once `next` was false. */
  end = 0;
  private bytes: Buffer = nothing;
  private at = 0;
  private begun = false;

  open(bytes: Buffer, from: number): void {
    if (bytes[from] !== braceOpen) throw new JsonScanError("not an object");
    this.bytes = bytes;
    this.at = from + 1;
    this.begun = false;
  }

  next(): boolean {
    const { bytes } = this;
    let at = skipSpace(bytes, this.at);
    if (bytes[at] === braceClose) {
      this.end = at + 1;
      return false;
    }
    if (this.begun) {
      if (bytes[at] !== comma) throw new JsonScanError("members are not separated");
      at = skipSpace(bytes, at + 1);
    }
    this.begun = true;
    if (bytes[at] !== quote) throw new JsonScanError("a member has no name");
    const nameEnd = skipString(bytes, at) - 1;
    const colonAt = skipSpace(bytes, nameEnd + 1);
    if (bytes[colonAt] !== colon) throw new JsonScanError("a member has no value");
    this.nameStart = at + 1;
    this.nameEnd = nameEnd;
    this.valueStart = skipSpace(bytes, colonAt + 1);
    return true;
  }

  skipTo(valueEnd: number): void {
    this.at = valueEnd;
  }

  nameIs(text: string): boolean {
    return isText(this.bytes, this.nameStart, this.nameEnd, text);
  }
}

const nothing = Buffer.alloc(0);

/** The members of the object that fills `bytes`, in order. */
export function members(bytes: Buffer): Member[] {
  const found: Member[] = [];
  const cursor = new ObjectCursor();
  cursor.open(bytes, skipSpace(bytes, 0));
  while (cursor.next()) {
    const { nameStart, nameEnd, valueStart } = cursor;
    const valueEnd = skipValue(bytes, valueStart);
    found.push({ nameStart, nameEnd, valueStart, valueEnd });
    cursor.skipTo(valueEnd);
  }
  return found;
}

/** A member's name, escapes resolved. */
export function memberName(bytes: Buffer, member: Member): string {
  const raw = bytes.toString("utf8", member.nameStart, member.nameEnd);
  return raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw;
}

/**
 * Whether the bytes from `start` to `end` are exactly the expected ones. For what is done for each entry: once a class extends String, as one
 * of the Redis client's does, V8 looks up `charCodeAt` anew for each character.
 */
export function isSame(bytes: Uint8Array, start: number, end: number, expected: Uint8Array): boolean {
  if (end - start !== expected.length) return false;
  for (let index = 0; index < expected.length; index++) {
    if (bytes[start + index] !== expected[index]) return false;
  }
  return true;
}

/** Whether the bytes from `start` to `end` are exactly the ASCII text. */
export function isText(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let index = 0; index < text.length; index++) {
    if (bytes[start + index] !== text.charCodeAt(index)) return false;
  }
  return true;
}
