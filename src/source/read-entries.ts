import { EntryPlaces, usualEntries, type Entries } from "../decode/entries.ts";
import type { ReplyCursor } from "./reply-scanner.ts";

/** Entries as they come next in a reply: `[[id, [name, value, …]], …]`. */
export function readEntries(reply: ReplyCursor): Entries {
  const count = Math.max(0, reply.array());
  const usual = reply.usualEntries(count);
  if (usual !== undefined) return usualEntries(reply.bytes, usual, count);
  const places = new EntryPlaces(count);
  for (let index = 0; index < count; index++) {
    reply.array();
    reply.bulk();
    places.begin(reply.start, reply.end);
    for (let left = reply.array(); left > 0; left--) {
      reply.bulk();
      places.add(reply.start, reply.end);
    }
  }
  return places.of(reply.bytes);
}
