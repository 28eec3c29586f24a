import type { Envelope } from "./envelope.ts";
import { viewOf } from "./fixed-text.ts";
import { PatternTree, type PatternText } from "./pattern-tree.ts";

/**
 * A member that is a number. It cannot be found inside a string, where a backslash stands before each quote, nor between two: behind the
 * quote that ends a string comes no letter.
 */
const numberMember = /"([A-Za-z_]\w*)":(\d+)(?=[,}])/dg;
const sequence = /"sequence":"\[(?:null|\\"(\d+)\\"),\\"(\d+)\\"\]"/d;

/** What a number of the tail says, if anybody asks. */
type Meaning = "committedAt" | "commit" | "position" | "other";

interface Slot {
  readonly start: number;
  readonly end: number;
  readonly meaning: Meaning;
}

/** What is the same in all tails of one pattern. */
type Source = Pick<Envelope, "schema" | "table" | "op">;

/** More digits than a float holds exactly: a log beyond a petabyte. */
const mostDigits = 15;

/**
 * The bytes after `after`, learned from envelopes that were met: fixed text with numbers in between. Most envelopes of a table differ in
 * these numbers only, so the next one is compared byte by byte and its numbers are read on the way; no text is made, nothing is searched.
 */
export class TailPatterns {
  private readonly patterns = new PatternTree<Meaning, Source>();

  /** Whether the bytes from `from` to `to` are of a known pattern; if so, what they say is put into the envelope. */
  read(bytes: Buffer, from: number, to: number, envelope: Envelope): boolean {
    const { patterns } = this;
    const view = viewOf(bytes);
    let at = from;
    let step = patterns.first.candidate(bytes, at);
    while (step?.text.standsAt(bytes, view, at, to) === true) {
      const { found, meaning } = step;
      at += step.text.length;
      if (found !== undefined) {
        if (at !== to) return false;
        patterns.hit();
        take(found, envelope);
        return true;
      }
      const start = at;
      let number = 0;
      for (; at < to; at++) {
        const digit = (bytes[at] ?? 0) - 0x30;
        if (digit < 0 || digit > 9) break;
        number = number * 10 + digit;
      }
      if (at === start || (meaning === "position" && at - start > mostDigits)) return false;
      if (meaning === "committedAt") envelope.committedAtMs = number;
      else if (meaning === "commit") envelope.commitLsn = number;
      else if (meaning === "position") envelope.position = BigInt(number);
      step = step.next.candidate(bytes, at);
    }
    return false;
  }

  /** From a tail and what was found in it. An unusual one is not learned. */
  learn(tail: string, { schema, table, op }: Source): void {
    const { patterns } = this;
    if (!patterns.mayLearn() || /[^ -~]/.test(tail)) return;
    const slots = slotsOf(tail);
    if (slots !== undefined) patterns.learn(textsOf(tail, slots), { schema, table, op });
  }
}

function take(source: Source, envelope: Envelope): void {
  envelope.schema = source.schema;
  envelope.table = source.table;
  envelope.op = source.op;
  envelope.hasSource = true;
}

function textsOf(tail: string, slots: readonly Slot[]): PatternText<Meaning>[] {
  const texts: PatternText<Meaning>[] = [];
  let from = 0;
  for (const { start, end, meaning } of slots) {
    texts.push({ bytes: Buffer.from(tail.slice(from, start), "latin1"), meaning });
    from = end;
  }
  return [...texts, { bytes: Buffer.from(tail.slice(from), "latin1"), meaning: undefined }];
}

/** In their order; undefined without the numbers that matter. */
function slotsOf(tail: string): Slot[] | undefined {
  const slots: Slot[] = [];
  const seen = new Set<string>();
  for (const match of tail.matchAll(numberMember)) {
    const [start = 0, end = 0] = match.indices?.[2] ?? [];
    const name = match[1] ?? "";
    // The source's come first.
    const meaning = seen.has(name) ? "other" : (meanings.get(name) ?? "other");
    seen.add(name);
    slots.push({ start, end, meaning });
  }
  const found = sequence.exec(tail);
  if (found === null || !seen.has("ts_ms") || !seen.has("lsn")) return undefined;
  // The last commit is null right after a start, and in snapshots.
  for (const group of [1, 2]) {
    const [start, end] = found.indices?.[group] ?? [];
    if (start !== undefined && end !== undefined)
      slots.push({ start, end, meaning: group === 1 ? "commit" : "other" });
  }
  return slots.sort((left, right) => left.start - right.start);
}

const meanings: ReadonlyMap<string, Meaning> = new Map([
  ["ts_ms", "committedAt"],
  ["lsn", "position"],
]);
