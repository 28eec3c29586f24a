import { isDigit } from "./json";

const dollar: u8 = 0x24;
const star: u8 = 0x2a;
const colon: u8 = 0x3a;
/** As `replyKind` numbers them. */
const bulkKind: f64 = 0;
const integerKind: f64 = 3;
const arrayKind: f64 = 4;
const tokenBytes: usize = 24;
/** That a double holds exactly. */
const mostDigits: usize = 15;

let scanned: i32 = 0;
let missing: i32 = 0;

/** Of the last `scanReply`: how many elements it took in. */
export function scannedElements(): i32 {
  return scanned;
}

/** Of the last `scanReply`: how many are still to come. */
export function missingElements(): i32 {
  return missing;
}

/**
 * Takes in elements of a reply of Redis from `from` to `end`, as long as they are there whole and something is missing: three doubles for each, its
 * kind, first and second, from `tokens` on, with room for so many. Places are told from `base`. Returns the address behind the last one. What it does
 * not know stands there.
 */
export function scanReply(
  from: usize,
  end: usize,
  base: usize,
  expected: i32,
  tokens: usize,
  room: i32,
): usize {
  let at = from;
  let token = tokens;
  const last = tokens + <usize>room * tokenBytes;
  missing = expected;
  while (missing > 0 && token < last && at < end) {
    const kind = load<u8>(at);
    if (kind != dollar && kind != star && kind != colon) break;
    let digit = at + 1;
    let number: i64 = 0;
    while (digit < end && isDigit(load<u8>(digit))) number = number * 10 + (<i64>load<u8>(digit++) - 0x30);
    // The line must end with what an end looks like; missing values, whose length is below zero, are left.
    const digits = digit - at - 1;
    if (digits == 0 || digits > mostDigits || digit + 2 > end || load<u16>(digit) != 0x0a0d) break;
    let first = <f64>number;
    let second: f64 = 0;
    let behind = digit + 2;
    if (kind == dollar) {
      const length = <usize>number;
      if (number > <i64>(end - behind) || behind + length + 2 > end) break;
      first = <f64>(behind - base);
      second = <f64>(behind + length - base);
      behind += length + 2;
    }
    store<f64>(token, kind == dollar ? bulkKind : kind == colon ? integerKind : arrayKind);
    store<f64>(token + 8, first);
    store<f64>(token + 16, second);
    token += tokenBytes;
    missing--;
    if (kind == star) missing += <i32>number;
    at = behind;
  }
  scanned = <i32>((token - tokens) / tokenBytes);
  return at;
}

/** Of an entry of an id and two fields: an array of the id and an array of four. */
const tokensOfEntry: usize = 7;

/**
 * Puts the places of so many entries, ten numbers each, from `places` on: of the id, and of names and values. False: not all of them have two
 * fields.
 */
export function placeEntries(tokens: usize, count: i32, places: usize): bool {
  let token = tokens;
  let place = places;
  for (let left = count; left > 0; left--) {
    if (!isArray(token, 2) || !isArray(token + 2 * tokenBytes, 4)) return false;
    if (!putPlace(token + tokenBytes, place)) return false;
    for (let part: usize = 0; part < 4; part++)
      if (!putPlace(token + (3 + part) * tokenBytes, place + 8 + part * 8)) return false;
    token += tokensOfEntry * tokenBytes;
    place += 40;
  }
  return true;
}

// @ts-ignore: decorator
@inline
function isArray(token: usize, length: f64): bool {
  return load<f64>(token) == arrayKind && load<f64>(token + 8) == length;
}

// @ts-ignore: decorator
@inline
function putPlace(token: usize, place: usize): bool {
  store<i32>(place, <i32>load<f64>(token + 8));
  store<i32>(place + 4, <i32>load<f64>(token + 16));
  return load<f64>(token) == bulkKind;
}
