import type { Envelope } from "./envelope.ts";

/** Everything after `after`, as Debezium's converter writes it when nothing is unusual. Numbers are the groups. */
const usualTail =
  /^,"source":\{"version":"[^"\\]*","connector":"[^"\\]*","name":"[^"\\]*","ts_ms":(\d+),"snapshot":(?:"[^"\\]*"|null|false|true),"db":"[^"\\]*","sequence":"\[(?:null|\\"(\d+)\\"),\\"(\d+)\\"\]","ts_us":(\d+),"ts_ns":(\d+),"schema":"([^"\\]*)","table":"([^"\\]*)","txId":(\d+),"lsn":(\d+),"xmin":null\},"transaction":null,"op":"(.)","ts_ms":(\d+),"ts_us":(\d+),"ts_ns":(\d+)\}$/d;

const committedAt = 1;
const commit = 2;
const position = 9;
const numberGroups = [1, 2, 3, 4, 5, 8, 9, 11, 12, 13] as const;

/**
 * The bytes after `after`, learned from one envelope: fixed text with numbers in between. Most envelopes of a table differ in these
 * numbers only, so the next one is compared byte by byte and its numbers are read on the way; no text is made, nothing is searched.
 */
export class TailPattern {
  /** Text before each number, and after the last one. */
  private readonly texts: readonly Uint8Array[];
  /** Which of the tail's numbers they are. */
  private readonly groups: readonly number[];
  private readonly schema: string;
  private readonly table: string;
  private readonly op: string;

  private constructor(
    texts: readonly Uint8Array[],
    groups: readonly number[],
    names: { readonly schema: string; readonly table: string; readonly op: string },
  ) {
    this.texts = texts;
    this.groups = groups;
    this.schema = names.schema;
    this.table = names.table;
    this.op = names.op;
  }

  /** Undefined when the tail is unusual. */
  static learn(tail: string): TailPattern | undefined {
    const match = usualTail.exec(tail);
    const { indices } = match ?? {};
    if (match === null || indices === undefined) return undefined;
    const texts: Uint8Array[] = [];
    let from = 0;
    // The last commit is null right after a start, and in snapshots.
    const groups = numberGroups.filter((group) => indices[group] !== undefined);
    for (const group of groups) {
      const [start = 0, end = 0] = indices[group] ?? [];
      texts.push(Buffer.from(tail.slice(from, start), "latin1"));
      from = end;
    }
    texts.push(Buffer.from(tail.slice(from), "latin1"));
    const [schema = "", table = "", op = ""] = [match[6], match[7], match[10]];
    // Bytes above ASCII stand for parts of characters here; such names are left to the full scan.
    if (/[^ -~]/.test(schema + table)) return undefined;
    return new TailPattern(texts, groups, { schema, table, op });
  }

  /** Whether the bytes from `from` to `to` are of this pattern; if so, what they say is put into the envelope. */
  read(bytes: Uint8Array, from: number, to: number, envelope: Envelope): boolean {
    let at = from;
    envelope.commitLsn = undefined;
    for (let index = 0; index < this.texts.length; index++) {
      const text = this.texts[index] ?? none;
      for (let offset = 0; offset < text.length; offset++)
        if (bytes[at + offset] !== text[offset]) return false;
      at += text.length;
      if (index === this.groups.length) break;
      const start = at;
      let number = 0;
      for (let digit = (bytes[at] ?? 0) - 0x30; digit >= 0 && digit <= 9; digit = (bytes[at] ?? 0) - 0x30) {
        number = number * 10 + digit;
        at++;
      }
      // More digits than a float holds exactly: nanoseconds, which nobody asks for, or a log beyond a petabyte.
      const group = this.groups[index];
      if (at === start || (at - start > 15 && group === position)) return false;
      if (group === committedAt) envelope.committedAtMs = number;
      else if (group === commit) envelope.commitLsn = number;
      else if (group === position) envelope.position = BigInt(number);
    }
    if (at !== to) return false;
    envelope.schema = this.schema;
    envelope.table = this.table;
    envelope.op = this.op;
    envelope.hasSource = true;
    return true;
  }
}

const none = new Uint8Array();
const mostPatterns = 8;

/** The patterns met last, the newest first. */
export class TailPatterns {
  private patterns: TailPattern[] = [];

  /** Whether one of them fits; if so, the envelope has what it says. */
  read(bytes: Uint8Array, from: number, to: number, envelope: Envelope): boolean {
    for (const [index, pattern] of this.patterns.entries()) {
      if (!pattern.read(bytes, from, to, envelope)) continue;
      if (index > 0) {
        this.patterns.splice(index, 1);
        this.patterns.unshift(pattern);
      }
      return true;
    }
    return false;
  }

  learn(tail: string): void {
    const pattern = TailPattern.learn(tail);
    if (pattern !== undefined) this.patterns = [pattern, ...this.patterns.slice(0, mostPatterns - 1)];
  }
}
