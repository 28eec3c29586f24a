import { kernelCode } from "./kernel-code.ts";

/** What `kernel/main.ts` exports. Addresses are of the kernel's memory; 0 says that the caller must look for itself. */
interface Kernel {
  passTexts(from: number, limit: number, program: number): number;
  standsAround(from: number, program: number): number;
  copyValues(from: number, limit: number, program: number, to: number): number;
  writtenEnd(): number;
  binaryRow(from: number, limit: number, program: number, to: number, position: number): number;
}

/** A form of values that the kernel knows, by its number there. */
export interface KernelForm {
  readonly form: 0 | 1 | 2 | 3;
  readonly argument: number;
}

/** A form of values in COPY's binary format, by its number in the kernel, which alone knows it. */
export interface BinaryForm {
  readonly form: 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13;
  readonly argument: number;
}

/** What the kernel may write behind what it has to say. */
export const kernelStride = 16;

/** Node's types leave it to those of browsers. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

const mebibyte = 2 ** 20;
const pageBytes = 65_536;
/**
 * Of the address space: only what was written to takes memory. Programs, a text, places for the replies of a hundred shards, one that waits and
 * one that is read ahead by those at work, and nothing behind them.
 */
const memoryBytes = 640 * mebibyte;
const programsEnd = 8 * mebibyte;
const textBytes = 16 * mebibyte;
const placeBytes = 4 * mebibyte;
const placesEnd = memoryBytes - placeBytes;
/** More than the kernel reads at once, and what a processor loads at once begins at such an address. */
const alignment = 16;

const { kernel, memory } = start();
const places: number[] = [];
for (let at = programsEnd + textBytes; at < placesEnd; at += placeBytes) places.push(at);
/** Whoever drops a buffer, as one of which a failure is left, gives its place back. */
const dropped = new FinalizationRegistry<number>((at) => places.push(at));

/** No kernel where Node, the processor or limits of memory do not let it run: everything then goes the way of what it does not know. */
function start(): { readonly kernel: Kernel | undefined; readonly memory: ArrayBuffer } {
  try {
    const memory = new WebAssembly.Memory({ initial: memoryBytes / pageBytes });
    const code = new WebAssembly.Module(Buffer.from(kernelCode, "base64"));
    const doubleOf = (from: number, to: number): number =>
      Number(Buffer.from(memory.buffer, from, to - from).toString("latin1"));
    const { exports } = new WebAssembly.Instance(code, { env: { memory, doubleOf } });
    return { kernel: exports as Kernel, memory: memory.buffer };
  } catch {
    return { kernel: undefined, memory: new ArrayBuffer(0) };
  }
}

/** A buffer of four mebibytes in the kernel's memory; undefined when all are in use. */
export function takePlace(): Buffer | undefined {
  const at = kernel === undefined ? undefined : places.pop();
  if (at === undefined) return undefined;
  const buffer = Buffer.from(memory, at, placeBytes);
  dropped.register(buffer, at);
  return buffer;
}

/** The one buffer of the kernel's memory for text that it writes. */
export function textPlace(): Buffer | undefined {
  return kernel && Buffer.from(memory, programsEnd, textBytes);
}

let lastBytes: Buffer | undefined;
let lastAddress = -1;

/** As `placeOf`, for what is asked for each entry of a buffer. */
export function addressOf(bytes: Buffer): number {
  if (bytes === lastBytes) return lastAddress;
  lastBytes = bytes;
  return (lastAddress = placeOf(bytes));
}

/** Where the buffer begins in the kernel's memory; -1: it is not in it. */
export function placeOf(bytes: Buffer): number {
  return kernel !== undefined && bytes.buffer === memory ? bytes.byteOffset : -1;
}

let programsAt = alignment;
/** Of the programs: all are forgotten at once when there is no room for one more. */
let generation = 0;
/** A larger one would be of names that no table has. */
const mostProgramBytes = mebibyte;

/** Bytes in the kernel's memory by which it works, written there when they are first asked for. */
export class Program {
  private readonly bytes: Buffer;
  private at = 0;
  private placed = -1;

  private constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Undefined when there are too many. */
  static of(parts: readonly Buffer[]): Program | undefined {
    const bytes = Buffer.concat(parts);
    return bytes.length > mostProgramBytes ? undefined : new Program(bytes);
  }

  /** Until the next program is asked for its own. */
  get address(): number {
    if (this.placed !== generation) this.place();
    return this.at;
  }

  private place(): void {
    const { bytes } = this;
    if (programsAt + bytes.length > programsEnd) [generation, programsAt] = [generation + 1, alignment];
    this.at = programsAt;
    this.placed = generation;
    bytes.copy(Buffer.from(memory, programsAt, bytes.length));
    programsAt = alignedTo(programsAt + bytes.length, alignment);
  }
}

/** Offset behind the texts and the values between them, or -1. `address` is that of the bytes. */
export function passTexts(address: number, bytes: Buffer, from: number, program: Program): number {
  const end = (kernel as Kernel).passTexts(address + from, address + bytes.length, program.address);
  return end === 0 ? -1 : end - address;
}

/** Texts with a value behind each but the last. */
export function textsProgram(texts: readonly Buffer[]): Program | undefined {
  const parts = [int32s(texts.length)];
  for (const text of texts) parts.push(int32s(text.length), padded(text, 4));
  return Program.of(parts);
}

/** Whether the text stands there around its values. The bytes have as many from there on. */
export function standsAround(address: number, from: number, program: Program): boolean {
  return (kernel as Kernel).standsAround(address + from, program.address) !== 0;
}

/** A text with the places of its values. */
export function aroundProgram(
  text: Buffer,
  values: readonly { readonly start: number; readonly end: number }[],
): Program | undefined {
  const mask = Buffer.alloc(text.length, 0xff);
  for (const { start, end } of values) mask.fill(0, start, end);
  const head = padded(int32s(text.length), alignment);
  return Program.of([head, padded(text, alignment), padded(mask, alignment)]);
}

/**
 * Offset behind the values, or -1; they stand as COPY reads them from `toAddress` up to `copiedEnd`. Looks at nothing from `limit` on, so that it
 * writes no more than the room that was made for as many bytes.
 */
export function copyValues(
  address: number,
  from: number,
  limit: number,
  program: Program,
  toAddress: number,
): number {
  const end = (kernel as Kernel).copyValues(address + from, address + limit, program.address, toAddress);
  return end === 0 ? -1 : end - address;
}

export function copiedEnd(): number {
  return (kernel as Kernel).writtenEnd();
}

/** Values with the bytes before each. */
export function valuesProgram(
  values: readonly { readonly gap: number; readonly form: KernelForm }[],
): Program | undefined {
  const parts = values.map(({ gap, form }) => int32s(gap, form.form, form.argument));
  return Program.of([int32s(values.length), ...parts]);
}

/**
 * The address behind a row of COPY's binary format, whose position is a safe integer, or -1; `toAddress` is where it goes. Looks at nothing from
 * `limit` on, as `copyValues`.
 */
export function writeBinaryRow(
  address: number,
  { from, limit }: { readonly from: number; readonly limit: number },
  program: Program,
  position: number,
  toAddress: number,
): number {
  const end = (kernel as Kernel).binaryRow(
    address + from,
    address + limit,
    program.address,
    toAddress,
    position,
  );
  return end === 0 ? -1 : end;
}

/** Values with the bytes before each; `columns` of them are written, the position's not counted. */
export function binaryRowProgram(
  values: readonly { readonly gap: number; readonly form: BinaryForm }[],
  columns: number,
): Program | undefined {
  const head = Buffer.alloc(4);
  head.writeInt16BE(columns + 1);
  const parts = values.map(({ gap, form }) => int32s(gap, form.form, form.argument));
  return Program.of([head, int32s(values.length), ...parts]);
}

function int32s(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 4);
  for (const [index, number] of numbers.entries()) bytes.writeInt32LE(number, index * 4);
  return bytes;
}

function padded(bytes: Buffer, size: number): Buffer {
  return Buffer.concat([bytes], alignedTo(bytes.length, size));
}

function alignedTo(length: number, size: number): number {
  return Math.ceil(length / size) * size;
}
