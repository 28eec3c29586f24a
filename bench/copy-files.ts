import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { findPostgresFolder } from "../demo/local/locate.ts";
import { runToEnd } from "../demo/local/process.ts";
import type { Value } from "./loads/table-shape.ts";

const linesPerWrite = 1000;

/** Writes rows as COPY reads them; returns how many. */
export function writeCopyFile(path: string, rows: Iterable<readonly Value[]>): number {
  const file = openSync(path, "w", 0o644);
  let lines: string[] = [];
  let count = 0;
  for (const row of rows) {
    lines.push(row.map(copyText).join("\t"));
    if (++count % linesPerWrite > 0) continue;
    writeSync(file, `${lines.join("\n")}\n`);
    lines = [];
  }
  if (lines.length > 0) writeSync(file, `${lines.join("\n")}\n`);
  closeSync(file);
  return count;
}

function copyText(value: Value): string {
  if (value === null) return "\\N";
  if (typeof value !== "string") return String(value);
  return value.replaceAll("\\", "\\\\").replaceAll("\t", "\\t").replaceAll("\n", "\\n");
}

/** COPY over one connection, from a client as it would be in production: psql. */
export async function copyInto(url: string, target: string, file: string): Promise<void> {
  const psql = join(findPostgresFolder() ?? "", "psql");
  const command = `\\copy ${target} FROM '${file}'`;
  await runToEnd(psql, ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", command]);
}
