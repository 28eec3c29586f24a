import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atExit } from "./process.ts";

/** A folder of its own that is gone after `remove()`, and at the latest when this process ends. */
export interface TempFolder extends AsyncDisposable {
  readonly path: string;
  remove(): void;
}

export function createTempFolder(prefix: string): TempFolder {
  const path = mkdtempSync(join(tmpdir(), prefix));
  // PostgreSQL runs as another user when we are root, and has to reach its folder inside.
  chmodSync(path, 0o711);
  const remove = (): void => rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  atExit(remove);
  return {
    path,
    remove,
    [Symbol.asyncDispose]: async () => remove(),
  };
}
