/** What all loops know of JSON. */

export const quote: u8 = 0x22;
export const backslash: u8 = 0x5c;
export const comma: u8 = 0x2c;
export const braceOpen: u8 = 0x7b;
export const braceClose: u8 = 0x7d;
export const bracketOpen: u8 = 0x5b;
export const bracketClose: u8 = 0x5d;
export const minus: u8 = 0x2d;
export const point: u8 = 0x2e;

export function passValue(from: usize, limit: usize): usize {
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
export function specials(bytes: v128): i32 {
  const quotes = i8x16.eq(bytes, i8x16.splat(quote));
  return i8x16.bitmask(v128.or(quotes, i8x16.eq(bytes, i8x16.splat(backslash))));
}

/** Digits, signs, points and letters: of numbers, true and false. */
// @ts-ignore: decorator
@inline
export function isOfScalar(byte: u8): bool {
  return isDigit(byte) || (byte >= 0x61 && byte <= 0x7a) || byte == minus || byte == point || byte == 0x2b || byte == 0x45;
}

// @ts-ignore: decorator
@inline
export function isDigit(byte: u8): bool {
  return byte >= 0x30 && byte <= 0x39;
}
