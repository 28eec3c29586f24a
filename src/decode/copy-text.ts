import type { CopyData } from "./copy-data.ts";
import { skipValue } from "./json-scan.ts";
import { copiedEnd, copyValues, kernelStride, valuesProgram, type KernelForm } from "./kernel/copy.ts";
import { addressOf, type Program } from "./kernel/memory.ts";
import { valueAfter } from "./member-gaps.ts";
import type { Span } from "./span.ts";

/**
 * Rows in the text format of PostgreSQL's COPY, made from images as they came. COPY hands each value to its type's own input function,
 * as reading from JSON does; what it could take for something else, or would round, a form refuses: that row goes the other way.
 *
 * Appends the value that begins at `from` and returns the offset behind it, or -1 when it refuses it.
 */
export interface CopyForm {
  (image: Buffer, from: number, to: CopyData): number;
  /** What the kernel knows it as: it writes the same, or leaves it to this one. */
  readonly kernel?: KernelForm;
}

const tab = 0x09;
const newline = 0x0a;
const quote = 0x22;
const backslash = 0x5c;
const nullStart = 0x6e;
const letterN = 0x4e;

interface PlannedValue {
  /** Undefined for a member that is left out. */
  readonly form: CopyForm | undefined;
  readonly gap: number;
}

/** Members that follow each other. */
interface CopyPiece {
  readonly values: readonly PlannedValue[];
  /** By which the kernel copies them; undefined where it does not know their forms. */
  readonly program: Program | undefined;
}

/** How a row is made of an image: by its members, in their order. */
export class CopyPlan {
  readonly pieces: readonly CopyPiece[];
  readonly members: number;

  /** Forms: undefined for a member that is left out. Gaps: as `gapsOf` gives them. */
  constructor(forms: readonly (CopyForm | undefined)[], gaps: readonly number[]) {
    const pieces: PlannedValue[][] = [];
    for (const [index, form] of forms.entries()) {
      const value = { form, gap: gaps[index] ?? 0 };
      const piece = pieces.at(-1);
      if (piece !== undefined && isOfKernel(piece) === isOfKernel([value])) piece.push(value);
      else pieces.push([value]);
    }
    this.members = forms.length;
    this.pieces = pieces.map((values) => ({ values, program: programOf(values) }));
  }
}

function isOfKernel(values: readonly PlannedValue[]): boolean {
  return values.every(({ form }) => form?.kernel !== undefined);
}

function programOf(values: readonly PlannedValue[]): Program | undefined {
  const known = values.flatMap(({ form, gap }) =>
    form?.kernel === undefined ? [] : [{ gap, form: form.kernel }],
  );
  return known.length === values.length ? valuesProgram(known) : undefined;
}

/**
 * Appends a row: the image's values by the plan's forms, then the position. False, with nothing appended, when a form refuses its
 * value. The image has the names that the plan was made for.
 */
export function copyRow(image: Span, plan: CopyPlan, position: bigint, to: CopyData): boolean {
  const { start, end } = image;
  const begun = to.length;
  // Bytes grow by half when they become hexadecimal digits, numbers when they become moments; nothing else does.
  to.reserve(2 * (end - start) + plan.members * longestMoment + longestPosition + kernelStride);
  let at = start;
  for (const piece of plan.pieces) {
    at = copyPiece(image, at, piece, to);
    if (at < 0) {
      to.length = begun;
      return false;
    }
  }
  to.decimal(position);
  to.bytes[to.length++] = newline;
  // A Buffer takes no notice of what is written behind its end.
  if (to.length > to.bytes.length) throw new RangeError("a row became longer than there was room for");
  return true;
}

function copyPiece(
  { bytes, end: limit }: Span,
  from: number,
  { values, program }: CopyPiece,
  to: CopyData,
): number {
  const address = addressOf(bytes);
  if (program !== undefined && address >= 0 && to.address >= 0) {
    const end = copyValues(address, from, limit, program, to.address + to.length);
    if (end >= 0) {
      to.length = copiedEnd() - to.address;
      return end;
    }
  }
  return copyByForms(bytes, from, values, to);
}

/** The offset behind the values, or -1 when a form refuses one. */
function copyByForms(bytes: Buffer, start: number, values: readonly PlannedValue[], to: CopyData): number {
  let at = start;
  for (const { form, gap } of values) {
    const from = valueAfter(bytes, at, gap);
    at = form === undefined ? skipValue(bytes, from) : form(bytes, from, to);
    if (at < 0) return -1;
    if (form !== undefined) to.bytes[to.length++] = tab;
  }
  return at;
}

const longestMoment = 32;
const longestPosition = 24;

/** A string's text, or a number or boolean as it stands; an object or array is refused. */
export const verbatim: CopyForm = Object.assign(copyVerbatim, { kernel: { form: 0, argument: 0 } as const });

function copyVerbatim(image: Buffer, from: number, to: CopyData): number {
  const first = image[from] ?? 0;
  if (first === quote) return copyString(image, from, to);
  if (first === nullStart) return copyNull(from, to);
  const { bytes } = to;
  let { length } = to;
  let at = from;
  for (; ; at++) {
    const byte = image[at] ?? 0;
    if (!isOfScalar(byte)) break;
    bytes[length++] = byte;
  }
  to.length = length;
  return at === from ? -1 : at;
}

/** Digits, signs, points and letters: of numbers, true and false. */
function isOfScalar(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    byte === 0x2d ||
    byte === 0x2e ||
    byte === 0x2b ||
    byte === 0x45
  );
}

export function copyNull(from: number, to: CopyData): number {
  to.escaped(letterN);
  return from + 4;
}

function copyString(image: Buffer, from: number, to: CopyData): number {
  const { bytes } = to;
  let { length } = to;
  let at = from + 1;
  for (;;) {
    const byte = image[at];
    if (byte === undefined) return -1;
    if (byte === quote) {
      to.length = length;
      return at + 1;
    }
    if (byte !== backslash) {
      bytes[length++] = byte;
      at++;
      continue;
    }
    // JSON inside a string is full of these.
    if (image[at + 1] === quote) {
      bytes[length++] = quote;
      at += 2;
      continue;
    }
    to.length = length;
    at = copyEscape(image, at + 1, to);
    if (at < 0) return -1;
    length = to.length;
  }
}

/** What stands behind a backslash in JSON; the offset behind it, or -1. */
function copyEscape(image: Buffer, at: number, to: CopyData): number {
  const byte = image[at] ?? 0;
  switch (byte) {
    case 0x75:
      return copyCodeUnit(image, at + 1, to);
    case backslash:
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      // COPY has the same ones.
      to.escaped(byte);
      return at + 1;
    default:
      to.bytes[to.length++] = byte;
      return at + 1;
  }
}

/** `\uXXXX`, two of them for what lies beyond the basic plane. A zero, which no text can hold, and half a pair are refused. */
function copyCodeUnit(image: Buffer, at: number, to: CopyData): number {
  const unit = hexAt(image, at);
  if (unit === 0 || Number.isNaN(unit)) return -1;
  if (unit < 0xd800 || unit > 0xdfff) {
    copyCodePoint(unit, to);
    return at + 4;
  }
  const low = image[at + 4] === backslash && image[at + 5] === 0x75 ? hexAt(image, at + 6) : 0;
  if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff) return -1;
  copyCodePoint(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), to);
  return at + 10;
}

function hexAt(image: Buffer, at: number): number {
  const text = image.toString("latin1", at, at + 4);
  return /^[0-9a-fA-F]{4}$/.test(text) ? Number.parseInt(text, 16) : Number.NaN;
}

function copyCodePoint(point: number, to: CopyData): void {
  if (point === tab) to.escaped(0x74);
  else if (point === newline) to.escaped(0x6e);
  else if (point === 0x0d) to.escaped(0x72);
  else if (point === backslash) to.escaped(backslash);
  else to.length += to.bytes.write(String.fromCodePoint(point), to.length, "utf8");
}
