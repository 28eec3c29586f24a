import { kernelCode } from "./code.ts";

/** What `kernel/main.ts` exports. Addresses are of the kernel's memory; 0 says that the caller must look for itself. */
export interface Kernel {
  passTexts(from: number, limit: number, program: number): number;
  standsAround(from: number, program: number): number;
  copyValues(from: number, limit: number, program: number, to: number): number;
  writtenEnd(): number;
  binaryRow(from: number, limit: number, program: number, to: number, position: bigint): number;
  scanReply(from: number, end: number, base: number, expected: number, tokens: number, room: number): number;
  scannedElements(): number;
  missingElements(): number;
  placeEntries(tokens: number, count: number, places: number): number;
  readEnvelopes(
    places: number,
    count: number,
    base: number,
    forms: number,
    formCount: number,
    records: number,
  ): number;
}

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
export const recordsAt = programsEnd + textBytes;
export const recordsBytes = mebibyte;
/** Of a place, which holds a reply, what is known of its elements, and where its entries stand. */
const placeBytes = 4 * mebibyte;
export const tokensBytes = mebibyte / 2;
export const entriesBytes = mebibyte / 4;
export const replyBytes = placeBytes - tokensBytes - entriesBytes;
const placesEnd = memoryBytes - placeBytes;
/** More than the kernel reads at once, and what a processor loads at once begins at such an address. */
export const alignment = 16;

export const { kernel, memory } = start();
const places: number[] = [];
for (let at = recordsAt + recordsBytes; at < placesEnd; at += placeBytes) places.push(at);
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

/** A buffer of some mebibytes in the kernel's memory; undefined when all are in use. */
export function takePlace(): Buffer | undefined {
  const at = kernel === undefined ? undefined : places.pop();
  if (at === undefined) return undefined;
  const buffer = Buffer.from(memory, at, replyBytes);
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

/** Another one than before: programs have moved. */
export function programsGeneration(): number {
  return generation;
}

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

export function int32s(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 4);
  for (const [index, number] of numbers.entries()) bytes.writeInt32LE(number, index * 4);
  return bytes;
}

export function padded(bytes: Buffer, size: number): Buffer {
  return Buffer.concat([bytes], alignedTo(bytes.length, size));
}

export function alignedTo(length: number, size: number): number {
  return Math.ceil(length / size) * size;
}
