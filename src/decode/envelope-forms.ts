import { keyHashSeed } from "../change/key-hash.ts";
import type { TableName } from "../change/change.ts";
import type { Entries } from "./entries.ts";
import type { Envelope } from "./envelope.ts";
import { envelopeProgram, mostForms, readEnvelopes } from "./kernel/envelopes.ts";
import { type Program } from "./kernel/memory.ts";
import type { Message } from "./message.ts";
import { textsAround } from "./shape-pattern.ts";
import { tailNumbers } from "./tail-pattern.ts";
import { startOfPlainAfter } from "./usual-envelope.ts";

/** What all entries of one form say alike. */
export interface KnownForm {
  readonly table: TableName;
  readonly op: string;
  readonly shape: number;
  readonly keyShape: number;
  readonly hasCommit: boolean;
}

interface LearnedForm extends KnownForm {
  readonly program: Program;
}

/** What learning a form costs, in entries that are read by one; and what is saved up at most. */
const price = 50;
const mostCredit = 1_000;
/** Where hardly any entry is of a form, so many are passed over for each that is looked at, and for each that is learned. */
const pause = { looking: 64, learning: 1024 } as const;

/**
 * Forms of entries, learned from those that were met: operation, table, names and all text around values and numbers. The kernel reads runs of entries of
 * known forms by one call, which is what nearly all are; everything else is read one by one, by its parts. Where forms are too many, for a stream of
 * hundreds of tables, looking for them is given up for the most part.
 */
export class EnvelopeForms {
  private readonly forms: LearnedForm[] = [];
  private programs: Program[] = [];
  private oldest = 0;
  private credit = mostCredit;
  private passed = 0;
  private unlearned = 0;

  /** How many entries from there on are of known forms; an `EnvelopeRecord` takes each. */
  read(entries: Entries, from: number): number {
    const address = entries.addressOf(from);
    if (address < 0 || this.forms.length === 0 || !this.isWorthwhile()) return 0;
    const { byteOffset } = entries.buffer;
    const count = readEnvelopes(address, entries.length - from, byteOffset, this.programs);
    this.earn(count === 0 ? -1 : count);
    return count;
  }

  private earn(credit: number): void {
    this.credit = Math.max(0, Math.min(mostCredit, this.credit + credit));
  }

  private isWorthwhile(): boolean {
    return this.credit > 0 || this.passed++ % pause.looking === 0;
  }

  form(index: number): KnownForm {
    const form = this.forms[index];
    if (form === undefined) throw new RangeError(`no form ${index}`);
    return form;
  }

  /** From an entry of none of them with a key and an image, as it was read by its parts. An unusual one is not learned. */
  learn(
    entries: Entries,
    index: number,
    message: Message,
    envelope: Envelope,
    known: Omit<KnownForm, "op" | "hasCommit" | "shape">,
  ): void {
    const address = entries.addressOf(index);
    if (address < 0 || startOfPlainAfter(entries.buffer, message.valueStart) !== envelope.afterStart) return;
    if (!this.mayLearn()) return;
    const reads = (programs: readonly Program[]): boolean =>
      readEnvelopes(address, 1, entries.buffer.byteOffset, programs) === 1;
    // Where looking was given up it may be of one all the same.
    if (reads(this.programs)) return;
    this.earn(-price);
    const form = formOf(entries, message, envelope, known);
    // What it cannot read itself would be learned again and again.
    if (form === undefined || !reads([form.program])) return;
    if (this.forms.length < mostForms) this.forms.push(form);
    else {
      this.forms[this.oldest] = form;
      this.oldest = (this.oldest + 1) % mostForms;
    }
    this.programs = this.forms.map(({ program }) => program);
  }

  private mayLearn(): boolean {
    return this.credit >= price || this.unlearned++ % pause.learning === 0;
  }
}

function formOf(
  { buffer }: Entries,
  { keyStart, keyEnd, valueStart, valueEnd }: Message,
  { op, shape, afterStart, afterEnd, commitLsn }: Envelope,
  { table, keyShape }: Pick<KnownForm, "table" | "keyShape">,
): LearnedForm | undefined {
  const tail = buffer.toString("latin1", afterEnd, valueEnd);
  const numbers = tailNumbers(tail);
  if (numbers === undefined || (commitLsn === undefined) !== (numbers.commit === undefined)) return undefined;
  const [first, ...others] = textsAround(buffer.subarray(afterStart, afterEnd));
  if (first === undefined) return undefined;
  const program = envelopeProgram({
    key: textsAround(buffer.subarray(keyStart, keyEnd)),
    value: [Buffer.from(buffer.subarray(valueStart, afterStart + first.length)), ...others],
    afterStart: afterStart - valueStart,
    tail: Buffer.from(tail, "latin1"),
    ...numbers,
    seed: keyHashSeed(table),
  });
  const hasCommit = commitLsn !== undefined;
  return program && { program, table, op, shape, keyShape, hasCommit };
}
