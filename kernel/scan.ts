/**
 * The loops that see every byte of an entry, sixteen at a time. AssemblyScript, compiled by `npm run kernel` into `src/decode/kernel-code.ts`.
 *
 * Each function answers 0 for what it does not know, and its caller then looks for itself. None reads more than sixteen bytes
 * beyond `limit`, and none beyond what a program says it has.
 */

const quote: u8 = 0x22;
const backslash: u8 = 0x5c;
const comma: u8 = 0x2c;
const braceOpen: u8 = 0x7b;
const braceClose: u8 = 0x7d;
const bracketOpen: u8 = 0x5b;
const bracketClose: u8 = 0x5d;
const minus: u8 = 0x2d;
const point: u8 = 0x2e;

/** Where the value or the row ends that was written last. */
let written: usize = 0;

export function writtenEnd(): usize {
  return written;
}

/**
 * Texts with a value behind each but the last. The program: how many texts, then each one's length and bytes, padded to four. Returns the
 * address behind the last one.
 */
export function passTexts(from: usize, limit: usize, program: usize): usize {
  let at = from;
  let step = program + 4;
  for (let left = load<u32>(program); left > 0; left--) {
    const length = load<u32>(step);
    if (at + length > limit || !isSame(at, step + 4, length)) return 0;
    at += length;
    step += 4 + ((length + 3) & ~3);
    if (left == 1) return at;
    at = passValue(at, limit);
    if (at == 0) return 0;
  }
  return 0;
}

function passValue(from: usize, limit: usize): usize {
  const first = load<u8>(from);
  if (first == quote) return passString(from, limit);
  if (first == braceOpen || first == bracketOpen) return passNested(from, limit);
  let at = from;
  for (; at < limit; at++) {
    const byte = load<u8>(at);
    if (byte == comma || byte == braceClose || byte == bracketClose || byte <= 0x20) break;
  }
  return at == from ? 0 : at;
}

function passNested(from: usize, limit: usize): usize {
  let depth = 0;
  let at = from;
  while (at < limit) {
    const byte = load<u8>(at);
    if (byte == quote) {
      at = passString(at, limit);
      if (at == 0) return 0;
      continue;
    }
    at++;
    if (byte == braceOpen || byte == bracketOpen) depth++;
    else if ((byte == braceClose || byte == bracketClose) && --depth == 0) return at;
  }
  return 0;
}

function passString(from: usize, limit: usize): usize {
  let at = from + 1;
  while (at < limit) {
    const found = specials(v128.load(at));
    if (found == 0) {
      at += 16;
      continue;
    }
    at += ctz(found);
    if (at >= limit) return 0;
    if (load<u8>(at) == quote) return at + 1;
    at += 2;
  }
  return 0;
}

/** A bit for each quote and backslash. */
// @ts-ignore: decorator
@inline
function specials(bytes: v128): i32 {
  const quotes = i8x16.eq(bytes, i8x16.splat(quote));
  return i8x16.bitmask(v128.or(quotes, i8x16.eq(bytes, i8x16.splat(backslash))));
}

// @ts-ignore: decorator
@inline
function isSame(left: usize, right: usize, length: u32): bool {
  if (length >= 16) {
    for (let at: u32 = 0; at + 16 < length; at += 16)
      if (v128.any_true(v128.xor(v128.load(left + at), v128.load(right + at)))) return false;
    const last = length - 16;
    return !v128.any_true(v128.xor(v128.load(left + last), v128.load(right + last)));
  }
  if (length >= 8) {
    const last = length - 8;
    return load<u64>(left) == load<u64>(right) && load<u64>(left + last) == load<u64>(right + last);
  }
  for (let at: u32 = 0; at < length; at++) if (load<u8>(left + at) != load<u8>(right + at)) return false;
  return true;
}

/**
 * Whether the text stands there but for the places of values, whose bits in the mask are 0. The program: its length, then text
 * and mask, each padded to sixteen.
 */
export function standsAround(from: usize, program: usize): bool {
  const length = load<u32>(program);
  const text = program + 16;
  const mask = text + ((length + 15) & ~15);
  let differ = i64x2.splat(0);
  let at: u32 = 0;
  for (; at + 16 <= length; at += 16) {
    const other = v128.xor(v128.load(from + at), v128.load(text + at));
    differ = v128.or(differ, v128.and(other, v128.load(mask + at)));
  }
  if (v128.any_true(differ)) return false;
  for (; at < length; at++)
    if ((load<u8>(from + at) ^ load<u8>(text + at)) & load<u8>(mask + at)) return false;
  return true;
}

/** Forms of values, as `KernelForm` numbers them. */
const decimalForm = 1;
const zonedMomentForm = 2;
const shortTextForm = 3;

/**
 * Values as COPY reads them, a tab behind each. The program: how many, then for each the bytes of the name before it, its form and the form's
 * argument. Returns the address behind the last value; `writtenEnd` is where the text ends. Writes up to sixteen bytes more. The limit is the end of
 * the image, whose brace stands behind the last value.
 */
export function copyValues(from: usize, limit: usize, program: usize, to: usize): usize {
  let at = from;
  let out = to;
  let step = program + 4;
  for (let left = load<u32>(program); left > 0; left--) {
    const gap = load<u32>(step);
    const form = load<u32>(step + 4);
    const argument = load<i32>(step + 8);
    step += 12;
    at += gap;
    // White space before a value stands in no usual image.
    if (at >= limit || load<u8>(at - 1) != 0x3a || load<u8>(at - 2) != quote) return 0;
    const first = load<u8>(at);
    if (first == 0x6e) {
      store<u16>(out, 0x4e5c);
      out += 2;
      at += 4;
    } else if (first == quote) {
      if (form == decimalForm && !isDecimal(at + 1, argument)) return 0;
      if (form == zonedMomentForm && !isUsualYear(at + 1)) return 0;
      const begun = out;
      at = copyString(at + 1, limit, out);
      if (at == 0) return 0;
      out = written;
      if (form == shortTextForm && <i32>(out - begun) > argument) return 0;
    } else {
      if (form == decimalForm || form == zonedMomentForm) return 0;
      const begun = out;
      for (; at < limit; at++) {
        const byte = load<u8>(at);
        if (!isOfScalar(byte)) break;
        store<u8>(out++, byte);
      }
      if (at >= limit || out == begun || (form == shortTextForm && <i32>(out - begun) > argument)) return 0;
    }
    store<u8>(out++, 0x09);
  }
  written = out;
  return at;
}

/** From behind a string's quote to behind its other one. */
function copyString(from: usize, limit: usize, to: usize): usize {
  let at = from;
  let out = to;
  while (at < limit) {
    const bytes = v128.load(at);
    v128.store(out, bytes);
    const found = specials(bytes);
    if (found == 0) {
      at += 16;
      out += 16;
      continue;
    }
    const plain = ctz(found);
    at += plain;
    out += plain;
    if (at >= limit) return 0;
    if (load<u8>(at) == quote) {
      written = out;
      return at + 1;
    }
    const escaped = load<u8>(at + 1);
    if (escaped == quote) store<u8>(out++, quote);
    else if (isSharedEscape(escaped)) {
      store<u16>(out, <u16>backslash | ((<u16>escaped) << 8));
      out += 2;
    } else return 0;
    at += 2;
  }
  return 0;
}

/** What JSON and COPY write alike behind a backslash. */
// @ts-ignore: decorator
@inline
function isSharedEscape(byte: u8): bool {
  return byte == backslash || byte == 0x62 || byte == 0x66 || byte == 0x6e || byte == 0x72 || byte == 0x74;
}

/** Digits, signs, points and letters: of numbers, true and false. */
// @ts-ignore: decorator
@inline
function isOfScalar(byte: u8): bool {
  return isDigit(byte) || (byte >= 0x61 && byte <= 0x7a) || byte == minus || byte == point || byte == 0x2b || byte == 0x45;
}

// @ts-ignore: decorator
@inline
function isDigit(byte: u8): bool {
  return byte >= 0x30 && byte <= 0x39;
}

/** Whether the string holds a number of no more digits behind its point; a negative `scale` allows any. */
function isDecimal(from: usize, scale: i32): bool {
  let at = load<u8>(from) == minus ? from + 1 : from;
  const start = at;
  let fraction = -1;
  for (; ; at++) {
    const byte = load<u8>(at);
    if (byte == point) fraction = 0;
    else if (!isDigit(byte)) break;
    else if (fraction >= 0) fraction++;
  }
  return at != start && load<u8>(at) == quote && (scale < 0 || fraction <= scale);
}

/** Four digits, not all of them zero, and a hyphen. */
function isUsualYear(from: usize): bool {
  for (let at = from; at < from + 4; at++) if (!isDigit(load<u8>(at))) return false;
  return load<u8>(from + 4) == minus && load<u32>(from) != 0x30303030;
}
