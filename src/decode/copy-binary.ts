import type { CopyData } from "./copy-data.ts";
import { binaryRowProgram, kernelStride, writeBinaryRow, type BinaryForm } from "./kernel/copy.ts";
import { addressOf, type Program } from "./kernel/memory.ts";
import type { Span } from "./span.ts";

/** How a row of COPY's binary format is made of an image: by its members, in their order. */
export interface BinaryPlan {
  readonly program: Program;
  readonly members: number;
}

/** For a member that is left out. */
const omitted: BinaryForm = { form: 0, argument: 0 };

/** Forms: undefined for a member that is left out. Gaps: as `gapsOf` gives them. */
export function binaryPlan(
  forms: readonly (BinaryForm | undefined)[],
  gaps: readonly number[],
): BinaryPlan | undefined {
  const values = forms.map((form, index) => ({ gap: gaps[index] ?? 0, form: form ?? omitted }));
  const columns = forms.filter((form) => form !== undefined).length;
  const program = binaryRowProgram(values, columns);
  return program && { program, members: forms.length };
}

/** Signature, no flags, no extension. */
const header = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
const trailer = Buffer.from([0xff, 0xff]);
/** A value's length and itself, where it can be longer than its JSON. */
const longestValue = 32;
const longestPosition = 16;

/**
 * Rows in COPY's binary format, which PostgreSQL only has to check: it takes three quarters of the time of a row of text. The kernel makes
 * them, without a twin in TypeScript: false, where it does not know a value or where the bytes are in other memory, and then they go as text.
 */
export function copyBinary(
  rows: Iterable<Span & { readonly position: bigint }>,
  plan: BinaryPlan,
  to: CopyData,
): boolean {
  to.clear();
  to.append(header);
  for (const row of rows) if (!appendRow(row, plan, row.position, to)) return false;
  to.reserve(trailer.length);
  to.append(trailer);
  return true;
}

function appendRow({ bytes, start, end }: Span, plan: BinaryPlan, position: bigint, to: CopyData): boolean {
  // No value but those becomes longer than its JSON.
  to.reserve(end - start + plan.members * longestValue + longestPosition + kernelStride);
  const address = addressOf(bytes);
  if (address < 0 || to.address < 0) return false;
  const at = to.address + to.length;
  const behind = writeBinaryRow(address, { from: start, limit: end }, plan.program, position, at);
  if (behind < 0) return false;
  to.length += behind - at;
  return true;
}
