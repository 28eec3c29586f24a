import { redactText } from "../config/redact.ts";
import type { SluiceError } from "../errors/sluice-error.ts";

/** Data goes to `out`, everything else to `err`. */
export interface ConsoleIo {
  out(text: string): void;
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** `error CODE: message`, the place, and the remedy. */
export function printError(io: ConsoleIo, error: SluiceError): void {
  const place = Object.entries(error.place).map(([name, value]) => `  ${name}: ${String(value)}`);
  const lines = [`error ${error.code}: ${redactText(error.message)}`, ...place, `remedy: ${error.remedy}`];
  io.err(`${lines.join("\n")}\n`);
}

/** Columns aligned by spaces, as kubectl prints them. */
export function alignedTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return `${all.map(line).join("\n")}\n`;
}
