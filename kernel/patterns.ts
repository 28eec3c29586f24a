import { passValue } from "./json";

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
