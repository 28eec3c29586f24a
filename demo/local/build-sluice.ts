import { statSync } from "node:fs";
import { join } from "node:path";
import { newestChange } from "./newest-change.ts";
import { runToEnd } from "./process.ts";

const root = join(import.meta.dirname, "..", "..");

/** The program that users run. */
export const sluiceMain = join(root, "dist", "main.js");

/** Compiles `src/` when it is newer than `dist/`. */
export async function buildSluice(): Promise<void> {
  const built = statSync(sluiceMain, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (built >= newestChange(join(root, "src"))) return;
  await runToEnd("npm", ["run", "--silent", "build"], { cwd: root });
}
