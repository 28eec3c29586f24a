import { alignment, int32s, kernel, padded, Program, type Kernel } from "./memory.ts";

/** Offset behind the texts and the values between them, or -1. `address` is that of the bytes. */
export function passTexts(address: number, bytes: Buffer, from: number, program: Program): number {
  const end = (kernel as Kernel).passTexts(address + from, address + bytes.length, program.address);
  return end === 0 ? -1 : end - address;
}

/** Texts with a value behind each but the last. */
export function textsProgram(texts: readonly Buffer[]): Program | undefined {
  return Program.of(textsParts(texts));
}

export function textsParts(texts: readonly Buffer[]): Buffer[] {
  return [int32s(texts.length), ...texts.flatMap((text) => [int32s(text.length), padded(text, 4)])];
}

/** Whether the text stands there around its values. The bytes have as many from there on. */
export function standsAround(address: number, from: number, program: Program): boolean {
  return (kernel as Kernel).standsAround(address + from, program.address) !== 0;
}

export interface Place {
  readonly start: number;
  readonly end: number;
}

/** A text with the places of its values. */
export function aroundProgram(text: Buffer, values: readonly Place[]): Program | undefined {
  return Program.of(aroundParts(text, values));
}

export function aroundParts(text: Buffer, values: readonly Place[]): Buffer[] {
  const mask = Buffer.alloc(text.length, 0xff);
  for (const { start, end } of values) mask.fill(0, start, end);
  return [padded(int32s(text.length), alignment), padded(text, alignment), padded(mask, alignment)];
}
