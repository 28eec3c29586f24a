import { isDigit } from "./json";
import { passTexts, standsAround } from "./patterns";

/** Of an entry: id, name, key, name and value, two numbers each. */
const bytesOfPlaces: usize = 40;
const bytesOfRecord: usize = 48;
const mostForms: usize = 32;
/** FNV-1a's, of 32 bits. */
const prime: u32 = 0x01000193;

let committedAt: i64 = 0;
let commit: i64 = 0;
let position: i64 = 0;

/**
 * Reads entries whose places stand one behind the other, as long as each is of one of the forms; returns how many there are. A form is the addresses
 * of its parts: how key, and value up to the end of `after`, are written; the tail, its length, and where its numbers stand. For each entry a record is
 * written: key, image, the key's hash, the form's number, and the numbers of its tail.
 *
 * `forms`: the address of each; behind those that there can be a number for each, of the form that followed it last.
 */
export function readEnvelopes(
  places: usize,
  count: i32,
  base: usize,
  forms: usize,
  formCount: i32,
  records: usize,
): i32 {
  const followers = forms + mostForms * 4;
  let last = 0;
  for (let index = 0; index < count; index++) {
    const place = places + <usize>index * bytesOfPlaces;
    const record = records + <usize>index * bytesOfRecord;
    if (!isUsualMessage(place, base)) return index;
    const follower = followers + <usize>last * 4;
    let form = load<i32>(follower);
    if (form >= formCount || !isOfForm(place, base, load<usize>(forms + <usize>form * 4), record)) {
      form = 0;
      while (form < formCount && !isOfForm(place, base, load<usize>(forms + <usize>form * 4), record)) form++;
      if (form == formCount) return index;
      store<i32>(follower, form);
    }
    store<i32>(record + 20, form);
    last = form;
  }
  return count;
}

/** Whether the fields are `key` and `value`. */
function isUsualMessage(place: usize, base: usize): bool {
  const key = load<u32>(place + 8);
  const value = load<u32>(place + 24);
  return (
    load<u32>(place + 12) - key == 3 &&
    load<u16>(base + key) == 0x656b &&
    load<u8>(base + key + 2) == 0x79 &&
    load<u32>(place + 28) - value == 5 &&
    load<u32>(base + value) == 0x756c6176 &&
    load<u8>(base + value + 4) == 0x65
  );
}

/** A form: offsets of key and value texts and of the tail from its beginning, bytes before `after`, the tail's length, its numbers, seed. */
function isOfForm(place: usize, base: usize, form: usize, record: usize): bool {
  const keyStart = base + load<u32>(place + 16);
  const keyEnd = base + load<u32>(place + 20);
  const valueStart = base + load<u32>(place + 32);
  const valueEnd = base + load<u32>(place + 36);
  const tailLength = load<u32>(form + 16);
  const tail = valueEnd - tailLength;
  // A tail is of one table, whatever its rows.
  if (valueEnd - valueStart <= <usize>tailLength || !standsAround(tail, form + load<u32>(form + 8))) return false;
  if (passTexts(valueStart, valueEnd, form + load<u32>(form + 4)) != tail) return false;
  if (passTexts(keyStart, keyEnd, form + load<u32>(form)) != keyEnd) return false;
  committedAt = numberOf(tail, form + 20);
  commit = numberOf(tail, form + 28);
  position = numberOf(tail, form + 36);
  if ((committedAt | commit | position) < 0) return false;
  let hash = load<u32>(form + 44);
  for (let at = keyStart; at < keyEnd; at++) hash = (hash ^ <u32>load<u8>(at)) * prime;
  store<u32>(record, <u32>(keyStart - base));
  store<u32>(record + 4, <u32>(keyEnd - base));
  store<u32>(record + 8, <u32>(valueStart - base) + load<u32>(form + 12));
  store<u32>(record + 12, <u32>(tail - base));
  store<u32>(record + 16, hash ^ (hash >>> 15));
  store<f64>(record + 24, <f64>committedAt);
  store<f64>(record + 32, <f64>commit);
  store<i64>(record + 40, position);
  return true;
}

/** The digits whose place in the tail stands there; 0 for an empty place, -1 for what are not digits all through. */
// @ts-ignore: decorator
@inline
function numberOf(tail: usize, slot: usize): i64 {
  const end = tail + load<u32>(slot + 4);
  let value: i64 = 0;
  for (let at = tail + load<u32>(slot); at < end; at++) {
    const byte = load<u8>(at);
    if (!isDigit(byte)) return -1;
    value = value * 10 + (<i64>byte - 0x30);
  }
  return value;
}
