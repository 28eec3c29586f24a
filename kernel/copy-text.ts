import { backslash, isDigit, isOfScalar, minus, point, quote, specials } from "./json";

/** Where the value or the row ends that was written last. */
let written: usize = 0;

export function writtenEnd(): usize {
  return written;
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
