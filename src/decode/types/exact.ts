import { verbatim } from "../copy-text.ts";
import { plainBinary } from "./binary-forms.ts";
import type { ColumnType, ValueCodec } from "./value-codec.ts";

/** What the message of a value says that its column cannot hold exactly; the type follows, never the value. */
export const inexactMark = "not exact in";

/**
 * SQL for `value` where the condition holds, and an error of class 22 where it does not: an approximation is never written (I7). The
 * error depends on the row, or PostgreSQL would raise it when it plans; NULL stays NULL.
 */
export function exactly(type: ColumnType, check: ExactCheck): string {
  const fails = `('${inexactMark} ${type.sql}' || left(${check.ref}::text, 0))::int::text::${type.sql}`;
  return `(CASE WHEN ${check.when} THEN ${check.value} ELSE ${fails} END)`;
}

interface ExactCheck {
  readonly ref: string;
  readonly when: string;
  readonly value: string;
}

/** The numbers of `numeric(10,2)` or `time(3) without time zone`; empty without modifiers. */
export function modifiersOf(type: Pick<ColumnType, "sql">): readonly number[] {
  const list = /\(([-\d, ]+)\)/.exec(type.sql)?.[1];
  return list === undefined ? [] : list.split(",").map(Number);
}

/** Read without modifiers, and the same with them: what they would round or cut is an error. */
export function sameModified(type: ColumnType): ValueCodec {
  return {
    recordType: type.name,
    expression: (ref) =>
      exactly(type, { ref, when: `${ref} = ${ref}::${type.sql}`, value: `${ref}::${type.sql}` }),
  };
}

/** Read as text and written back by the type as the same text. */
export function sameText(type: ColumnType): ValueCodec {
  const value = (ref: string): string => `${ref}::${type.sql}`;
  return {
    recordType: "text",
    expression: (ref) => exactly(type, { ref, when: `${value(ref)}::text = ${ref}`, value: value(ref) }),
  };
}

/** The type's own input function reads the JSON scalar's text, and refuses what it cannot hold. */
export function asSent(type: ColumnType): ValueCodec {
  return { copy: verbatim, binary: plainBinary(type), recordType: type.sql, expression: (ref) => ref };
}
