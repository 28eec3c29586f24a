import {
  alignment,
  int32s,
  kernel,
  memory,
  padded,
  Program,
  programsGeneration,
  recordsAt,
  recordsBytes,
  type Kernel,
} from "./memory.ts";
import { aroundParts, textsParts, type Place } from "./patterns.ts";

/** How the entries of one operation on one table are written, but for their values. */
export interface EnvelopeForm {
  /** Of the key, with a value behind each but the last. */
  readonly key: readonly Buffer[];
  /** Of the value up to the end of `after`, likewise. */
  readonly value: readonly Buffer[];
  /** Where `after` begins in the value. */
  readonly afterStart: number;
  /** What follows `after`, with the places of numbers. */
  readonly tail: Buffer;
  readonly numbers: readonly Place[];
  /** Those that are read, of fifteen digits at most; `commit` may be absent. */
  readonly committedAt: Place;
  readonly commit: Place | undefined;
  readonly position: Place;
  /** Of the key's hash. */
  readonly seed: number;
}

export function envelopeProgram(form: EnvelopeForm): Program | undefined {
  const [key, value] = [form.key, form.value].map((texts) =>
    padded(Buffer.concat(textsParts(texts)), alignment),
  );
  if (key === undefined || value === undefined) return undefined;
  const { committedAt, commit = { start: 0, end: 0 }, position } = form;
  const numbers = [committedAt, commit, position].flatMap(({ start, end }) => [start, end]);
  const keyAt = 12 * Int32Array.BYTES_PER_ELEMENT;
  const valueAt = keyAt + key.length;
  const head = int32s(keyAt, valueAt, valueAt + value.length, form.afterStart, form.tail.length);
  const parts = [head, int32s(...numbers, form.seed), key, value, ...aroundParts(form.tail, form.numbers)];
  return Program.of(parts);
}

/** Of forms that are looked for at the same time. */
export const mostForms = 32;
const formsBytes = 2 * mostForms * Int32Array.BYTES_PER_ELEMENT;
const bytesOfRecord = 48;
const mostRecords = Math.floor((recordsBytes - formsBytes) / bytesOfRecord);
const recordNumbers = new Int32Array(memory, ...recordsOf(Int32Array));
const recordDoubles = new Float64Array(memory, ...recordsOf(Float64Array));
const recordPositions = new BigInt64Array(memory, ...recordsOf(BigInt64Array));

function recordsOf({ BYTES_PER_ELEMENT: bytes }: { readonly BYTES_PER_ELEMENT: number }): [number, number] {
  return kernel === undefined ? [0, 0] : [recordsAt + formsBytes, (mostRecords * bytesOfRecord) / bytes];
}

/** What `readEnvelopes` found in an entry. One serves for many. */
export class EnvelopeRecord {
  keyStart = 0;
  keyEnd = 0;
  afterStart = 0;
  afterEnd = 0;
  keyHash = 0;
  /** Index of its form. */
  form = 0;
  committedAtMs = 0;
  commitLsn = 0;
  position = 0n;

  /** Of the last call's entry of that number. */
  take(index: number): void {
    const at = index * 12;
    this.keyStart = recordNumbers[at] ?? 0;
    this.keyEnd = recordNumbers[at + 1] ?? 0;
    this.afterStart = recordNumbers[at + 2] ?? 0;
    this.afterEnd = recordNumbers[at + 3] ?? 0;
    this.keyHash = recordNumbers[at + 4] ?? 0;
    this.form = recordNumbers[at + 5] ?? 0;
    this.committedAtMs = recordDoubles[index * 6 + 3] ?? 0;
    this.commitLsn = recordDoubles[index * 6 + 4] ?? 0;
    this.position = recordPositions[index * 6 + 5] ?? 0n;
  }
}

/**
 * Reads so many entries, or fewer, as long as each is of one of the forms, and returns how many it has read. `places`: the address of where they
 * stand in the buffer, which begins at `base`.
 */
export function readEnvelopes(
  places: number,
  count: number,
  base: number,
  forms: readonly Program[],
): number {
  const table = new Int32Array(memory, recordsAt, mostForms);
  let placed = -1;
  // A program for which there was no room has moved all others.
  for (let round = 0; round < 2 && placed !== programsGeneration(); round++) {
    placed = programsGeneration();
    for (let index = 0; index < forms.length; index++) table[index] = forms[index]?.address ?? 0;
  }
  const most = Math.min(count, mostRecords);
  return (kernel as Kernel).readEnvelopes(
    places,
    most,
    base,
    recordsAt,
    forms.length,
    recordsAt + formsBytes,
  );
}
