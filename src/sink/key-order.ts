import type { Change } from "../change/change.ts";

interface Keyed {
  /** One without a key, whose places are -1, has the shortest key of all. */
  readonly change: Pick<Change, "bytes" | "keyStart" | "keyEnd">;
}

/** Of a float, that whole numbers fit into. */
const exactBits = 53;

/**
 * Sorts by the bytes of the keys: parallel shards lock rows in one order, and neighbours in the index are written one after the other.
 *
 * Comparing keys with each other costs a third of what decoding the changes does. So the first bytes in which they differ become a number that
 * ends with the work's place, and numbers are sorted natively; only keys that are the same in those bytes are compared.
 */
export function sortByKey(work: Keyed[]): void {
  if (work.length < 2) return;
  const placeBits = 32 - Math.clz32(work.length - 1);
  const places = 2 ** placeBits;
  const [from, bytes] = [sameBytes(work), (exactBits - placeBits) >> 3];
  const numbers = new Float64Array(work.length);
  let place = 0;
  for (const each of work) numbers[place] = numberOf(each, from, bytes) * places + place++;
  numbers.sort();
  const before = work.slice();
  let run = 0;
  let runNumber = -1;
  for (let index = 0; index < numbers.length; index++) {
    const numbered = numbers[index] ?? 0;
    const number = Math.floor(numbered / places);
    if (number !== runNumber) {
      if (index - run > 1) sortRun(work, run, index);
      run = index;
      runNumber = number;
    }
    const found = before[numbered - number * places];
    if (found !== undefined) work[index] = found;
  }
  if (numbers.length - run > 1) sortRun(work, run, numbers.length);
}

/** How many bytes all keys begin with. */
function sameBytes(work: readonly Keyed[]): number {
  const first = work[0]?.change;
  if (first === undefined) return 0;
  let same = first.keyEnd - first.keyStart;
  for (const { change } of work) {
    let at = 0;
    same = Math.min(same, change.keyEnd - change.keyStart);
    while (at < same && change.bytes[change.keyStart + at] === first.bytes[first.keyStart + at]) at++;
    same = at;
  }
  return same;
}

/** The bytes behind the first `from`, as one number; those that a key lacks count as zeros, which no key has. */
function numberOf({ change }: Keyed, from: number, bytes: number): number {
  const { keyStart, keyEnd } = change;
  let number = 0;
  for (let at = keyStart + from; at < keyStart + from + bytes; at++)
    number = number * 256 + (at < keyEnd ? (change.bytes[at] ?? 0) : 0);
  return number;
}

function sortRun(work: Keyed[], from: number, to: number): void {
  const sorted = work.slice(from, to).sort(compareKeys);
  for (const [index, each] of sorted.entries()) work[from + index] = each;
}

function compareKeys({ change: left }: Keyed, { change: right }: Keyed): number {
  const [leftStart, leftEnd] = [Math.max(0, left.keyStart), Math.max(0, left.keyEnd)];
  const [rightStart, rightEnd] = [Math.max(0, right.keyStart), Math.max(0, right.keyEnd)];
  return left.bytes.compare(right.bytes, rightStart, rightEnd, leftStart, leftEnd);
}
