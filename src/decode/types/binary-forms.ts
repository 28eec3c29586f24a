import type { BinaryForm } from "../kernel/copy.ts";
import type { ColumnType } from "./value-codec.ts";

/*
 * Forms of values in COPY's binary format: what the receive function of the column's type reads, and its input function would make of the same
 * value's text. They are for JSON as Debezium sends it for the type.
 */

export const textBinary: BinaryForm = { form: 1, argument: -1 };
export const jsonbBinary: BinaryForm = { form: 2, argument: 0 };
export const zonedMomentBinary: BinaryForm = { form: 6, argument: 0 };
/** Microseconds since 1970. */
export const momentBinary: BinaryForm = { form: 7, argument: 0 };
/** Days since 1970. */
export const dateBinary: BinaryForm = { form: 8, argument: 0 };
/** Microseconds since midnight. */
export const timeBinary: BinaryForm = { form: 9, argument: 0 };
/** Base64. */
export const bytesBinary: BinaryForm = { form: 11, argument: 0 };
export const doubleBinary: BinaryForm = { form: 12, argument: 0 };
/** Of few digits. */
export const singleBinary: BinaryForm = { form: 13, argument: 0 };

/** Text of no more bytes than characters are allowed. */
export function shortTextBinary(most: number): BinaryForm {
  return { form: 1, argument: most };
}

/** A number in a string, with no more digits behind its point; without a scale, any. */
export function decimalBinary(scale: number | undefined): BinaryForm {
  return { form: 5, argument: scale ?? -1 };
}

/** Of types whose JSON is their own text. */
const plain: Readonly<Record<string, BinaryForm>> = {
  text: textBinary,
  varchar: textBinary,
  bpchar: textBinary,
  citext: textBinary,
  int2: { form: 3, argument: 2 },
  int4: { form: 3, argument: 4 },
  int8: { form: 3, argument: 8 },
  bool: { form: 4, argument: 0 },
  uuid: { form: 10, argument: 0 },
};

/** Undefined: not known here. An enum is received as its label. */
export function plainBinary({ name, kind }: ColumnType): BinaryForm | undefined {
  if (kind === "enum") return textBinary;
  return kind === "base" ? plain[name] : undefined;
}
