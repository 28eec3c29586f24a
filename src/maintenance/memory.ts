import { parseMemoryLimit } from "../config/values.ts";
import type { RedisFacts } from "../source/stream-info.ts";

export type MemoryFacts = Pick<RedisFacts, "usedMemory" | "maxmemory">;

/** Bytes in use at Redis above which retention gives way; undefined: a share of a maxmemory that is not set. */
export function memoryThreshold(memoryHigh: string, { maxmemory }: MemoryFacts): number | undefined {
  const limit = parseMemoryLimit(memoryHigh);
  if (limit === undefined) return undefined;
  if ("bytes" in limit) return limit.bytes;
  return maxmemory > 0 ? Math.floor(maxmemory * limit.share) : undefined;
}

/** Bytes above the threshold; 0: there is no pressure. */
export function excessMemory(memoryHigh: string, facts: MemoryFacts): number {
  const threshold = memoryThreshold(memoryHigh, facts);
  return threshold === undefined ? 0 : Math.max(0, facts.usedMemory - threshold);
}
