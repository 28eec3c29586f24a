import { backslash, braceClose, comma, isDigit, isOfScalar, minus, passValue, point, quote, specials } from "./json";

/** Forms of values, as `BinaryForm` numbers them; each writes what its type's receive function reads. */
const omittedForm = 0;
const textForm = 1;
const jsonbForm = 2;
const integerForm = 3;
const booleanForm = 4;
const decimalForm = 5;
const zonedMomentForm = 6;
const momentForm = 7;
const dateForm = 8;
const timeForm = 9;
const uuidForm = 10;
const bytesForm = 11;
const doubleForm = 12;
const singleForm = 13;

/** Of days and microseconds since 1970, which count from 2000 in PostgreSQL. */
const daysTo2000: i64 = 10_957;
const microsOfDay: i64 = 86_400_000_000;
/** Of the years that ISO writes with four digits, in days since 1970. */
const firstDay: i64 = -719_162;
const lastDay: i64 = 2_932_896;

/** JavaScript's reading of a number's text, which is the nearest double. */
// @ts-ignore: decorator
@external("env", "doubleOf")
declare function doubleOf(from: usize, to: usize): f64;

/** Where what is written next goes. */
let out: usize = 0;

/**
 * A row of COPY's binary format. The program: its columns with the position's, as PostgreSQL reads it, how many values, then for each
 * the bytes of the name before it, its form and the form's argument. Returns the address behind the row. Writes up to sixteen bytes more. The limit is
 * the end of the image, whose brace stands behind the last value.
 */
export function binaryRow(from: usize, limit: usize, program: usize, to: usize, position: i64): usize {
  let at = from;
  let step = program + 8;
  store<u16>(to, load<u16>(program));
  out = to + 2;
  for (let left = load<u32>(program + 4); left > 0; left--) {
    at += load<u32>(step);
    const form = load<u32>(step + 4);
    const argument = load<i32>(step + 8);
    step += 12;
    // White space before a value stands in no usual image.
    if (at >= limit || load<u8>(at - 1) != 0x3a || load<u8>(at - 2) != quote) return 0;
    if (form == omittedForm) {
      at = passValue(at, limit);
    } else if (load<u8>(at) == 0x6e) {
      store<i32>(out, -1);
      out += 4;
      at += 4;
    } else {
      const length = out;
      out += 4;
      at = writeValue(at, limit, form, argument);
      store<u32>(length, bswap<u32>(<u32>(out - length - 4)));
    }
    if (at == 0 || at >= limit) return 0;
  }
  store<u32>(out, 0x08000000);
  out += 4;
  writeInt64(position);
  return out;
}

/** The address behind the value, or 0. */
function writeValue(at: usize, limit: usize, form: u32, argument: i32): usize {
  switch (form) {
    case textForm:
      return writeText(at, limit, argument);
    case jsonbForm:
      store<u8>(out++, 1);
      return writeText(at, limit, -1);
    case integerForm:
      return writeInteger(at, argument);
    case booleanForm:
      return writeBoolean(at);
    case decimalForm:
      return writeDecimal(at, limit, argument);
    case zonedMomentForm:
      return writeZonedMoment(at);
    case momentForm:
      return writeMoment(at);
    case dateForm:
      return writeDate(at);
    case timeForm:
      return writeTime(at);
    case uuidForm:
      return writeUuid(at);
    case bytesForm:
      return writeBytes(at, limit);
    case doubleForm:
      return writeDouble(at);
    case singleForm:
      return writeSingle(at);
    default:
      return 0;
  }
}

// @ts-ignore: decorator
@inline
function writeInt64(value: i64): void {
  store<i64>(out, bswap<i64>(value));
  out += 8;
}

/** A string's text, or a number or boolean as it stands, of at most so many bytes; a negative `most` allows any. */
function writeText(from: usize, limit: usize, most: i32): usize {
  const begun = out;
  let at = from;
  if (load<u8>(at) == quote) {
    at = writeString(at + 1, limit);
  } else {
    while (isOfScalar(load<u8>(at))) store<u8>(out++, load<u8>(at++));
    if (at == from) return 0;
  }
  return most >= 0 && <i32>(out - begun) > most ? 0 : at;
}

/** From behind a string's quote to behind its other one. */
function writeString(from: usize, limit: usize): usize {
  let at = from;
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
    if (load<u8>(at) == quote) return at + 1;
    at = writeEscape(at + 1);
    if (at == 0) return 0;
  }
  return 0;
}

/** What stands behind a backslash. */
function writeEscape(at: usize): usize {
  const byte = load<u8>(at);
  if (byte == 0x75) return writeCodePoint(at + 1);
  if (byte == quote || byte == backslash || byte == 0x2f) store<u8>(out++, byte);
  else if (byte == 0x6e) store<u8>(out++, 0x0a);
  else if (byte == 0x72) store<u8>(out++, 0x0d);
  else if (byte == 0x74) store<u8>(out++, 0x09);
  else if (byte == 0x62) store<u8>(out++, 0x08);
  else if (byte == 0x66) store<u8>(out++, 0x0c);
  else return 0;
  return at + 1;
}

/** `XXXX`, and another one behind it for what lies beyond the basic plane. A zero, which no text can hold, and half a pair are refused. */
function writeCodePoint(at: usize): usize {
  const unit = hexUnit(at);
  if (unit <= 0) return 0;
  if (unit < 0xd800 || unit > 0xdfff) {
    writeUtf8(unit);
    return at + 4;
  }
  if (unit > 0xdbff || load<u8>(at + 4) != backslash || load<u8>(at + 5) != 0x75) return 0;
  const low = hexUnit(at + 6);
  if (low < 0xdc00 || low > 0xdfff) return 0;
  writeUtf8(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
  return at + 10;
}

function writeUtf8(code: i32): void {
  if (code < 0x80) {
    store<u8>(out++, <u8>code);
    return;
  }
  if (code < 0x800) {
    store<u8>(out++, <u8>(0xc0 | (code >> 6)));
  } else {
    if (code < 0x10000) {
      store<u8>(out++, <u8>(0xe0 | (code >> 12)));
    } else {
      store<u8>(out++, <u8>(0xf0 | (code >> 18)));
      store<u8>(out++, <u8>(0x80 | ((code >> 12) & 0x3f)));
    }
    store<u8>(out++, <u8>(0x80 | ((code >> 6) & 0x3f)));
  }
  store<u8>(out++, <u8>(0x80 | (code & 0x3f)));
}

/** Of four hexadecimal digits; -1: they are none. */
function hexUnit(at: usize): i32 {
  let value = 0;
  for (let end = at + 4; at < end; at++) {
    const digit = hexDigit(load<u8>(at));
    if (digit < 0) return -1;
    value = (value << 4) | digit;
  }
  return value;
}

// @ts-ignore: decorator
@inline
function hexDigit(byte: u8): i32 {
  if (isDigit(byte)) return <i32>byte - 0x30;
  const letter = <i32>(byte | 0x20) - 0x61;
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

/** The last one that was read. */
let number: i64 = 0;

/** A whole number of eight bytes; the address behind it, or 0. */
function readWhole(from: usize): usize {
  const negative = load<u8>(from) == minus;
  const start = negative ? from + 1 : from;
  let at = start;
  // Nineteen digits are below 2^64.
  let value: u64 = 0;
  for (; isDigit(load<u8>(at)); at++) {
    if (at - start == 19) return 0;
    value = value * 10 + (<u64>load<u8>(at) - 0x30);
  }
  const most: u64 = negative ? 0x8000000000000000 : 0x7fffffffffffffff;
  if (at == start || value > most) return 0;
  number = negative ? -(<i64>value) : <i64>value;
  return at;
}

// @ts-ignore: decorator
@inline
function endsMember(at: usize): bool {
  const byte = load<u8>(at);
  return byte == comma || byte == braceClose;
}

/** As `readWhole`, of a member that is nothing else, with quotes or without. */
function readWholeMember(at: usize): usize {
  if (load<u8>(at) == quote) {
    const end = readWhole(at + 1);
    return end == 0 || load<u8>(end) != quote ? 0 : end + 1;
  }
  const end = readWhole(at);
  return end == 0 || !endsMember(end) ? 0 : end;
}

/** Of so many bytes. */
function writeInteger(from: usize, bytes: i32): usize {
  const at = readWholeMember(from);
  if (at == 0) return 0;
  if (bytes == 8) {
    writeInt64(number);
  } else if (bytes == 4) {
    if (number < i32.MIN_VALUE || number > i32.MAX_VALUE) return 0;
    store<i32>(out, bswap<i32>(<i32>number));
    out += 4;
  } else {
    if (number < i16.MIN_VALUE || number > i16.MAX_VALUE) return 0;
    store<i16>(out, bswap<i16>(<i16>number));
    out += 2;
  }
  return at;
}

function writeBoolean(at: usize): usize {
  const isTrue = load<u32>(at) == 0x65757274;
  if (!isTrue && (load<u32>(at) != 0x736c6166 || load<u8>(at + 4) != 0x65)) return 0;
  store<u8>(out++, isTrue ? 1 : 0);
  return isTrue ? at + 4 : at + 5;
}

/** More than any column holds is left to the way that says so. */
const mostDigits: usize = 1_000;

/** Digits of 10,000 each, with how many, the first one's weight, the sign and the digits behind the point. A negative `scale` allows any. */
function writeDecimal(from: usize, limit: usize, scale: i32): usize {
  const quoted = load<u8>(from) == quote;
  let at = quoted ? from + 1 : from;
  const negative = load<u8>(at) == minus;
  if (negative) at++;
  let whole = at;
  while (isDigit(load<u8>(at))) at++;
  const wholeEnd = at;
  let fraction = at;
  if (load<u8>(at) == point) {
    fraction = ++at;
    while (isDigit(load<u8>(at))) at++;
    if (at == fraction) return 0;
  }
  const places = at - fraction;
  if (whole == wholeEnd || at >= limit || at - whole > mostDigits || (scale >= 0 && <i32>places > scale)) return 0;
  if (quoted ? load<u8>(at) != quote : !endsMember(at)) return 0;
  while (whole < wholeEnd && load<u8>(whole) == 0x30) whole++;
  const groups = (wholeEnd - whole + 3) >> 2;
  const all = groups + ((places + 3) >> 2);
  writeInt16(<i32>all);
  writeInt16(all == 0 ? 0 : <i32>groups - 1);
  writeInt16(negative ? 0x4000 : 0);
  writeInt16(<i32>places);
  let length = ((wholeEnd - whole + 3) & 3) + 1;
  for (; whole < wholeEnd; length = 4) {
    writeInt16(digits(whole, length));
    whole += length;
  }
  for (; fraction < at; fraction += 4) {
    const left = at - fraction;
    if (left >= 4) writeInt16(digits(fraction, 4));
    else writeInt16(digits(fraction, left) * (left == 3 ? 10 : left == 2 ? 100 : 1000));
  }
  return quoted ? at + 1 : at;
}

// @ts-ignore: decorator
@inline
function writeInt16(value: i32): void {
  store<i16>(out, bswap<i16>(<i16>value));
  out += 2;
}

/** The number of so many digits. */
function digits(from: usize, length: usize): i32 {
  let value = 0;
  for (let at = from; at < from + length; at++) value = value * 10 + (<i32>load<u8>(at) - 0x30);
  return value;
}

/** `"2024-01-01T18:04:05.678901Z"`, with up to six digits behind the second or none. */
function writeZonedMoment(from: usize): usize {
  if (load<u8>(from) != quote) return 0;
  const text = from + 1;
  const year = fourDigits(text);
  const month = twoDigits(text + 5);
  const day = twoDigits(text + 8);
  const hour = twoDigits(text + 11);
  const minute = twoDigits(text + 14);
  const second = twoDigits(text + 17);
  const separated =
    load<u8>(text + 4) == minus &&
    load<u8>(text + 7) == minus &&
    load<u8>(text + 10) == 0x54 &&
    load<u8>(text + 13) == 0x3a &&
    load<u8>(text + 16) == 0x3a;
  if (!separated || year < 1 || month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return 0;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return 0;
  let at = text + 19;
  let micros: i64 = 0;
  if (load<u8>(at) == point) {
    at++;
    let unit: i64 = 100_000;
    for (; isDigit(load<u8>(at)); at++) {
      if (unit == 0) return 0;
      micros += (<i64>load<u8>(at) - 0x30) * unit;
      unit /= 10;
    }
    if (load<u8>(at - 1) == point) return 0;
  }
  if (load<u8>(at) != 0x5a || load<u8>(at + 1) != quote) return 0;
  const seconds: i64 = hour * 3600 + minute * 60 + second;
  writeInt64((dayOf(year, month, day) - daysTo2000) * microsOfDay + seconds * 1_000_000 + micros);
  return at + 2;
}

/** -1: they are none. */
// @ts-ignore: decorator
@inline
function twoDigits(at: usize): i32 {
  const tens = load<u8>(at);
  const ones = load<u8>(at + 1);
  return isDigit(tens) && isDigit(ones) ? (<i32>tens - 0x30) * 10 + (<i32>ones - 0x30) : -1;
}

/** Below zero: they are none. */
// @ts-ignore: decorator
@inline
function fourDigits(at: usize): i32 {
  const first = twoDigits(at);
  const second = twoDigits(at + 2);
  return first < 0 || second < 0 ? -1 : first * 100 + second;
}

function daysOf(year: i32, month: i32): i32 {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/** Since 1970. Years begin in March, so that the day that some have more is their last. */
function dayOf(year: i32, month: i32, day: i32): i64 {
  const marchYear = month > 2 ? year : year - 1;
  const dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const days = marchYear * 365 + marchYear / 4 - marchYear / 100 + marchYear / 400 + dayOfYear;
  return <i64>days - 719_468;
}

/** Microseconds since 1970. */
function writeMoment(from: usize): usize {
  const at = readWholeMember(from);
  if (at == 0 || number < firstDay * microsOfDay || number >= (lastDay + 1) * microsOfDay) return 0;
  writeInt64(number - daysTo2000 * microsOfDay);
  return at;
}

/** Days since 1970. */
function writeDate(from: usize): usize {
  const at = readWholeMember(from);
  if (at == 0 || number < firstDay || number > lastDay) return 0;
  store<i32>(out, bswap<i32>(<i32>(number - daysTo2000)));
  out += 4;
  return at;
}

/** Microseconds since midnight. */
function writeTime(from: usize): usize {
  const at = readWholeMember(from);
  if (at == 0 || number < 0 || number > microsOfDay) return 0;
  writeInt64(number);
  return at;
}

/** `"b68a35a7-17ad-35b3-af2a-ae46edb4545a"` */
function writeUuid(from: usize): usize {
  if (load<u8>(from) != quote) return 0;
  let at = from + 1;
  for (let index = 0; index < 16; index++) {
    if (index == 4 || index == 6 || index == 8 || index == 10) {
      if (load<u8>(at++) != minus) return 0;
    }
    const high = hexDigit(load<u8>(at));
    const low = hexDigit(load<u8>(at + 1));
    if (high < 0 || low < 0) return 0;
    store<u8>(out++, <u8>((high << 4) | low));
    at += 2;
  }
  return load<u8>(at) == quote ? at + 1 : 0;
}

/** Of base64, padded. */
function writeBytes(from: usize, limit: usize): usize {
  if (load<u8>(from) != quote) return 0;
  let at = from + 1;
  while (at + 4 < limit && load<u8>(at) != quote) {
    const first = sixBits(load<u8>(at));
    const second = sixBits(load<u8>(at + 1));
    const third = sixBits(load<u8>(at + 2));
    const fourth = sixBits(load<u8>(at + 3));
    if ((first | second) < 0) return 0;
    store<u8>(out++, <u8>((first << 2) | (second >> 4)));
    if (load<u8>(at + 3) == equals) {
      if (load<u8>(at + 2) != equals) {
        if (third < 0) return 0;
        store<u8>(out++, <u8>((second << 4) | (third >> 2)));
      }
      return load<u8>(at + 4) == quote ? at + 5 : 0;
    }
    if ((third | fourth) < 0) return 0;
    store<u8>(out++, <u8>((second << 4) | (third >> 2)));
    store<u8>(out++, <u8>((third << 6) | fourth));
    at += 4;
  }
  return load<u8>(at) == quote ? at + 1 : 0;
}

const equals: u8 = 0x3d;

function sixBits(byte: u8): i32 {
  if (byte >= 0x41 && byte <= 0x5a) return <i32>byte - 0x41;
  if (byte >= 0x61 && byte <= 0x7a) return <i32>byte - 0x61 + 26;
  if (isDigit(byte)) return <i32>byte - 0x30 + 52;
  if (byte == 0x2b) return 62;
  return byte == 0x2f ? 63 : -1;
}

/** Whole numbers and powers of ten of as many digits are exact doubles, so that their quotient is the nearest one. */
const exactDigits = 15;
/** What a float of four bytes holds as well. */
const singleDigits: usize = 6;

/** A number of a double, or what is none. A whole number, or text, may be finer than a double. */
function writeDouble(from: usize): usize {
  const at = load<u8>(from) == quote ? readNoNumber(from) : readDouble(from);
  if (at == 0) return 0;
  writeInt64(reinterpret<i64>(double));
  return at;
}

/** A number of few digits. */
function writeSingle(from: usize): usize {
  const at = load<u8>(from) == quote ? readNoNumber(from) : readDouble(from);
  if (at == 0 || (load<u8>(from) != quote && (at - from > singleDigits || hasExponent))) return 0;
  store<u32>(out, bswap<u32>(reinterpret<u32>(<f32>double)));
  out += 4;
  return at;
}

/** The last one that was read. */
let double: f64 = 0;
let hasExponent = false;

function readDouble(from: usize): usize {
  const negative = load<u8>(from) == minus;
  const start = negative ? from + 1 : from;
  let at = start;
  let value: i64 = 0;
  let count = 0;
  let places = -1;
  hasExponent = false;
  for (; ; at++) {
    const byte = load<u8>(at);
    if (isDigit(byte)) {
      if (count < 18) value = value * 10 + (<i64>byte - 0x30);
      count++;
      if (places >= 0) places++;
    } else if (byte == point && places < 0) places = 0;
    else if ((byte | 0x20) == 0x65 || byte == minus || byte == 0x2b) hasExponent = true;
    else break;
  }
  if (count == 0 || !endsMember(at)) return 0;
  if (!hasExponent && count <= exactDigits) {
    double = <f64>value;
    if (places > 0) double /= powerOfTen(places);
    if (negative) double = -double;
    return at;
  }
  if (!hasExponent && places < 0) return 0;
  double = doubleOf(from, at);
  // What is no number, too large, or so small that nothing is left of it.
  return isFinite(double) && double != 0 ? at : 0;
}

function powerOfTen(exponent: i32): f64 {
  let power: f64 = 1;
  for (let left = exponent; left > 0; left--) power *= 10;
  return power;
}

/** `"NaN"`, `"Infinity"`, `"-Infinity"`. */
function readNoNumber(from: usize): usize {
  if (load<u32>(from + 1) == 0x224e614e) {
    double = NaN;
    return from + 5;
  }
  const negative = load<u8>(from + 1) == minus;
  const at = negative ? from + 2 : from + 1;
  // Infinity
  if (load<u64>(at) != 0x7974696e69666e49 || load<u8>(at + 8) != quote) return 0;
  double = negative ? -Infinity : Infinity;
  return at + 9;
}
