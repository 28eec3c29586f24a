import { int32s, kernel, Program, type Kernel } from "./memory.ts";

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
 * The address behind a row of COPY's binary format, or -1; `toAddress` is where it goes. Looks at nothing from
 * `limit` on, as `copyValues`.
 */
export function writeBinaryRow(
  address: number,
  { from, limit }: { readonly from: number; readonly limit: number },
  program: Program,
  position: bigint,
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
