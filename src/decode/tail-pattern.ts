import type { Envelope } from "./envelope.ts";
import { FixedText } from "./fixed-text.ts";

/** A member that is a number. It cannot be found inside a string, where a backslash stands before each quote. */
const numberMember = /"([^"\\]*)":(\d+)(?=[,}])/dg;
const sequence = /"sequence":"\[(?:null|\\"(\d+)\\"),\\"(\d+)\\"\]"/d;

/** What a number of the tail says, if anybody asks. */
type Meaning = "committedAt" | "commit" | "position" | "other";

interface Slot {
  readonly start: number;
  readonly end: number;
  readonly meaning: Meaning;
}

/**
 * The bytes after `after`, learned from one envelope: fixed text with numbers in between. Most envelopes of a table differ in these
 * numbers only, so the next one is compared byte by byte and its numbers are read on the way; no text is made, nothing is searched.
 */
export class TailPattern {
  /** Text before each number, and after the last one. */
  private readonly texts: readonly FixedText[];
  private readonly meanings: readonly Meaning[];
  private readonly schema: string;
  private readonly table: string;
  private readonly op: string;

  private constructor(
    texts: readonly FixedText[],
    meanings: readonly Meaning[],
    { schema, table, op }: Pick<Envelope, "schema" | "table" | "op">,
  ) {
    this.texts = texts;
    this.meanings = meanings;
    this.schema = schema;
    this.table = table;
    this.op = op;
  }

  /** From a tail and what was found in it. Undefined when it is unusual. */
  static learn(tail: string, envelope: Envelope): TailPattern | undefined {
    const slots = slotsOf(tail);
    if (slots === undefined || /[^ -~]/.test(tail)) return undefined;
    const texts: FixedText[] = [];
    let from = 0;
    for (const { start, end } of slots) {
      texts.push(new FixedText(Buffer.from(tail.slice(from, start), "latin1")));
      from = end;
    }
    texts.push(new FixedText(Buffer.from(tail.slice(from), "latin1")));
    return new TailPattern(
      texts,
      slots.map(({ meaning }) => meaning),
      envelope,
    );
  }

  /** Whether the bytes from `from` to `to` are of this pattern; if so, what they say is put into the envelope. */
  read(bytes: Buffer, view: DataView, from: number, to: number, envelope: Envelope): boolean {
    const { texts, meanings } = this;
    let at = from;
    envelope.commitLsn = undefined;
    for (let index = 0; index < texts.length; index++) {
      const text = texts[index];
      if (text === undefined || !text.standsAt(bytes, view, at, to)) return false;
      at += text.length;
      if (index === meanings.length) break;
      const start = at;
      let number = 0;
      for (; at < to; at++) {
        const digit = (bytes[at] ?? 0) - 0x30;
        if (digit < 0 || digit > 9) break;
        number = number * 10 + digit;
      }
      // More digits than a float holds exactly: nanoseconds, which nobody asks for, or a log beyond a petabyte.
      const meaning = meanings[index];
      if (at === start || (at - start > 15 && meaning === "position")) return false;
      if (meaning === "committedAt") envelope.committedAtMs = number;
      else if (meaning === "commit") envelope.commitLsn = number;
      else if (meaning === "position") envelope.position = BigInt(number);
    }
    if (at !== to) return false;
    envelope.schema = this.schema;
    envelope.table = this.table;
    envelope.op = this.op;
    envelope.hasSource = true;
    return true;
  }
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

const mostPatterns = 16;
/** Since a pattern last fitted. */
const mostMisses = 64;

/** The patterns met last, the newest first. */
export class TailPatterns {
  private patterns: TailPattern[] = [];
  private misses = 0;

  /** Whether one of them fits; if so, the envelope has what it says. */
  read(bytes: Buffer, view: DataView, from: number, to: number, envelope: Envelope): boolean {
    const { patterns } = this;
    for (let index = 0; index < patterns.length; index++) {
      const pattern = patterns[index];
      if (pattern?.read(bytes, view, from, to, envelope) !== true) continue;
      this.misses = 0;
      if (index > 0) {
        patterns.splice(index, 1);
        patterns.unshift(pattern);
      }
      return true;
    }
    return false;
  }

  /** Learning costs as much as several reads; where no two tails are alike it is given up for the most part. */
  learn(tail: string, envelope: Envelope): void {
    this.misses++;
    if (this.misses > mostMisses && this.misses % 1024 !== 0) return;
    const pattern = TailPattern.learn(tail, envelope);
    if (pattern !== undefined) this.patterns = [pattern, ...this.patterns.slice(0, mostPatterns - 1)];
  }
}
