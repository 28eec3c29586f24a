import type { CopyForm } from "../copy-text.ts";
import type { BinaryForm } from "../kernel/copy.ts";
import { arrayCodec } from "./arrays.ts";
import { binaryCodecs, bitCodec } from "./binary.ts";
import { asSent } from "./exact.ts";
import { numberCodecs } from "./numbers.ts";
import { isOpaque, opaqueCodec } from "./opaque.ts";
import { textCodecs } from "./text.ts";
import { timeCodecs } from "./times.ts";

/** A column's type in the read database, domains resolved to their base. */
export interface ColumnType {
  /** pg_type.typname, e.g. `int4`, `numeric`, `mood`. */
  readonly name: string;
  /** As SQL writes it with its modifiers, e.g. `numeric(10,2)`. */
  readonly sql: string;
  readonly kind: "base" | "enum" | "range" | "composite" | "multirange" | "other";
  /** Of the schema in which the type lives, quoted. */
  readonly schemaSql: string;
  readonly element: ColumnType | undefined;
}

/**
 * How a value of Debezium's JSON becomes a value of the column: PostgreSQL reads it from the row's image as `recordType`, and
 * `expression` converts it. An expression is exact or fails; NULL stays NULL.
 */
export interface ValueCodec {
  /** The same conversion for rows that are inserted by COPY; undefined: not with it. */
  readonly copy?: CopyForm;
  /** The same for rows in COPY's binary format; undefined: not in it. */
  readonly binary?: BinaryForm | undefined;
  readonly recordType: string;
  /** `ref` is SQL for the value read as `recordType`. */
  readonly expression: (ref: string) => string;
}

/** The one place that knows how a type arrives. Undefined: Debezium's JSON cannot be converted to it. */
export function codecFor(type: ColumnType): ValueCodec | undefined {
  if (type.element !== undefined) return arrayCodec(type, codecFor(type.element));
  if (isOpaque(type)) return opaqueCodec(type);
  if (type.name === "bit" || type.name === "varbit") return bitCodec(type);
  const named =
    numberCodecs[type.name] ?? timeCodecs[type.name] ?? binaryCodecs[type.name] ?? textCodecs[type.name];
  return named === undefined ? asSent(type) : named(type);
}
