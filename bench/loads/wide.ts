import { insertLoad } from "./insert.ts";
import type { Load } from "./load.ts";
import { wideTable } from "./wide-table.ts";

/** New rows of sixty columns. */
export function wideLoad(size: number): Load {
  return { ...insertLoad(size, [wideTable]), name: "wide" };
}
