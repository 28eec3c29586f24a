import type { TableName } from "./change.ts";

/** Of a table and a key, which stands in the bytes. */
export function hashKey(table: TableName, bytes: Uint8Array, start: number, end: number): number {
  let hash = keyHashSeed(table);
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), prime);
  // The lowest bits, which choose a slot, know little of the others yet.
  return hash ^ (hash >>> 15);
}

/** FNV-1a's, of 32 bits. */
const prime = 0x01000193;

const seeds = new WeakMap<TableName, number>();
let last: TableName | undefined;
let lastSeed = 0;

/** Of the table's name; changes come in runs of one table. */
export function keyHashSeed(table: TableName): number {
  if (table === last) return lastSeed;
  let seed = seeds.get(table);
  if (seed === undefined) {
    seed = Buffer.from(table.id).reduce((hash, byte) => Math.imul(hash ^ byte, prime), 0x811c9dc5 | 0);
    seeds.set(table, seed);
  }
  last = table;
  return (lastSeed = seed);
}
