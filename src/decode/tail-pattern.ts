import type { Envelope } from "./envelope.ts";
import { FixedText, TextAround } from "./fixed-text.ts";
import { addressOf, type Program } from "./kernel/memory.ts";
import { aroundProgram, standsAround } from "./kernel/patterns.ts";
import { TextTree } from "./text-tree.ts";

/**
 * A member that is a number. It cannot be found inside a string, where a backslash stands before each quote, nor between two: behind the
 * quote that ends a string comes no letter.
 */
const numberMember = /"([A-Za-z_]\w*)":(\d+)(?=[,}])/dg;
const sequence = /"sequence":"\[(?:null|\\"(\d+)\\"),\\"(\d+)\\"\]"/d;

/** What a number of the tail says, if anybody asks. */
type Meaning = "committedAt" | "commit" | "position" | "other";

/** Where it stands in the tail. */
interface Slot {
  readonly start: number;
  readonly end: number;
  readonly meaning: Meaning;
}

/** What is the same in all tails of one pattern. */
type Source = Pick<Envelope, "schema" | "table" | "op">;

/** More digits than a float holds exactly: a log beyond a petabyte. */
const mostDigits = 15;
/** Beyond it all is learned anew: tables that changed or went leave theirs behind. */
const mostPatterns = 2_000;
/** Since a pattern last fitted. */
const mostMisses = 64;

/**
 * The bytes after `after`, learned from envelopes that were met. Most envelopes of a table differ in some numbers only, and these keep
 * their lengths for long: so a pattern is a tail's length, the places of its numbers, and the text around them. One look at the bytes in which
 * patterns differ finds the only one that may fit, one loop compares it, and the numbers that matter are read where they must stand.
 *
 * What stands in the place of another number is not looked at. In JSON it is a value, since the text before it ends with a colon and the text behind
 * it begins another member, which cannot be inside a string; a null of as many bytes, say, is as good.
 */
export class TailPatterns {
  /** By the tails' lengths. */
  private groups = new Map<number, PatternGroup[]>();
  private learned = 0;
  private misses = 0;

  /** Whether the bytes from `from` to `to` are of a known pattern; if so, what they say is put into the envelope. */
  read(bytes: Buffer, from: number, to: number, envelope: Envelope): boolean {
    for (const { patterns } of this.groups.get(to - from) ?? nothing) {
      if (patterns.candidate(bytes, from)?.read(bytes, from, envelope) !== true) continue;
      this.misses = 0;
      return true;
    }
    return false;
  }

  /** From a tail and what was found in it. An unusual one is not learned. */
  learn(tail: string, { schema, table, op }: Source): void {
    // It costs as much as several searches, so it is given up for the most part where no two are alike.
    this.misses++;
    if ((this.misses > mostMisses && this.misses % 1024 !== 0) || /[^ -~]/.test(tail)) return;
    const slots = slotsOf(tail);
    if (
      slots === undefined ||
      slots.some((slot) => slot.meaning === "position" && lengthOf(slot) > mostDigits)
    )
      return;
    if (this.learned++ === mostPatterns) [this.groups, this.learned] = [new Map(), 1];
    const pattern = new TailPattern(tail, slots, { schema, table, op });
    this.groupOf(tail, slots).patterns.get(pattern.text, () => pattern);
  }

  private groupOf(tail: string, slots: readonly Slot[]): PatternGroup {
    const places = slots.map(({ start, end }) => `${start}-${end}`).join();
    let groups = this.groups.get(tail.length);
    if (groups === undefined) this.groups.set(tail.length, (groups = []));
    let group = groups.find((each) => each.places === places);
    if (group === undefined) groups.push((group = { places, patterns: new TextTree() }));
    return group;
  }
}

/** Patterns whose numbers stand in the same places, so that they differ in their texts only. */
interface PatternGroup {
  readonly places: string;
  readonly patterns: TextTree<TailPattern>;
}

const nothing: readonly PatternGroup[] = [];

class TailPattern {
  /** The tail it was learned from, with other digits. */
  readonly text: FixedText;
  private readonly around: TextAround;
  private readonly program: Program | undefined;
  private readonly source: Source;
  private readonly committedAt: Slot | undefined;
  private readonly commit: Slot | undefined;
  private readonly position: Slot | undefined;

  constructor(tail: string, slots: readonly Slot[], source: Source) {
    const bytes = Buffer.from(tail, "latin1");
    for (const { start, end } of slots) bytes.fill("0", start, end);
    this.text = new FixedText(bytes);
    this.around = new TextAround(bytes, slots);
    this.program = aroundProgram(bytes, slots);
    this.source = source;
    const slotOf = (meaning: Meaning): Slot | undefined => slots.find((slot) => slot.meaning === meaning);
    this.committedAt = slotOf("committedAt");
    this.commit = slotOf("commit");
    this.position = slotOf("position");
  }

  read(bytes: Buffer, from: number, envelope: Envelope): boolean {
    if (!this.standsAt(bytes, from)) return false;
    const committedAt = numberAt(bytes, from, this.committedAt);
    const commit = numberAt(bytes, from, this.commit);
    const position = numberAt(bytes, from, this.position);
    if (Number.isNaN(committedAt) || Number.isNaN(commit) || Number.isNaN(position)) return false;
    const { source } = this;
    envelope.schema = source.schema;
    envelope.table = source.table;
    envelope.op = source.op;
    envelope.hasSource = true;
    if (committedAt !== undefined) envelope.committedAtMs = committedAt;
    envelope.commitLsn = commit;
    if (position !== undefined) envelope.position = BigInt(position);
    return true;
  }

  private standsAt(bytes: Buffer, from: number): boolean {
    const { program } = this;
    const address = addressOf(bytes);
    return program === undefined || address < 0
      ? this.around.standsAt(bytes, from)
      : standsAround(address, from, program);
  }
}

function lengthOf({ start, end }: Slot): number {
  return end - start;
}

/** NaN for what are not digits all through. */
function numberAt(bytes: Buffer, from: number, slot: Slot | undefined): number | undefined {
  if (slot === undefined) return undefined;
  const end = from + slot.end;
  let number = 0;
  for (let at = from + slot.start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return Number.NaN;
    number = number * 10 + digit;
  }
  return number;
}

/** Where a tail's numbers stand, and those that matter among them; undefined where one has too many digits, or for a tail that is not learned. */
export function tailNumbers(tail: string):
  | {
      readonly numbers: readonly Slot[];
      readonly committedAt: Slot;
      readonly commit: Slot | undefined;
      readonly position: Slot;
    }
  | undefined {
  const numbers = /[^ -~]/.test(tail) ? undefined : slotsOf(tail);
  const [committedAt, commit, position] = (["committedAt", "commit", "position"] as const).map((meaning) =>
    numbers?.find((slot) => slot.meaning === meaning),
  );
  if (numbers === undefined || committedAt === undefined || position === undefined) return undefined;
  const isLong = [committedAt, commit, position].some(
    (slot) => slot !== undefined && lengthOf(slot) > mostDigits,
  );
  return isLong ? undefined : { numbers, committedAt, commit, position };
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
