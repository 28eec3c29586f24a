import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** When the newest file under `path` was last written, in milliseconds; 0 when there is nothing. */
export function newestChange(path: string): number {
  const about = statSync(path, { throwIfNoEntry: false });
  if (about === undefined) return 0;
  if (!about.isDirectory()) return about.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newestChange(join(path, name))));
}
