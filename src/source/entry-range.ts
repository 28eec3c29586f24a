import { compareEntryIds, firstEntryId } from "../change/entry-id.ts";
import type { StreamExtent } from "./stream-extent.ts";

const mostOfPart = 2n ** 64n - 1n;

/** What a place in a stream looks like; completes "expected …". */
export const placeForms =
  "an entry id like 1718000000000-0 or 1718000000000, a time like 2024-06-10T06:13:20Z, or 0 for all that is left";

/**
 * The entry id that a text means, or undefined. Milliseconds alone, and times, stand for the first or the last entry of that
 * millisecond. A time needs its zone: entry ids are made by Redis's clock, wherever the operator sits.
 */
export function parsePlace(text: string, edge: "first" | "last"): string | undefined {
  const id = /^(\d{1,20})(?:-(\d{1,20}))?$/.exec(text);
  const milliseconds = id === null ? timeOf(text) : BigInt(id[1] ?? "");
  if (milliseconds === undefined) return undefined;
  const sequence = id?.[2] === undefined ? (edge === "first" ? 0n : mostOfPart) : BigInt(id[2]);
  return milliseconds > mostOfPart || sequence > mostOfPart ? undefined : `${milliseconds}-${sequence}`;
}

function timeOf(text: string): bigint | undefined {
  const form = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/;
  const milliseconds = form.test(text) ? Date.parse(text) : Number.NaN;
  return milliseconds >= 0 ? BigInt(milliseconds) : undefined;
}

/**
 * Whether entries of a range that begins at `from` may have been removed, and the first that is left. A range from `0-0` asks for
 * what is left, whatever that is. How many entries went is known, not which: so a range that begins in the hole before the first
 * entry counts as trimmed. Of a stream that is gone nothing is known but that it was there (`existed`).
 */
export function trimmedStart(
  from: string,
  extent: StreamExtent | undefined,
  existed: boolean,
): { readonly firstLeft: string | undefined } | undefined {
  if (from === firstEntryId) return undefined;
  if (extent === undefined) return existed ? { firstLeft: undefined } : undefined;
  if (extent.added <= extent.length) return undefined;
  const { firstId, lastId } = extent;
  const missing =
    firstId === undefined ? compareEntryIds(from, lastId) <= 0 : compareEntryIds(from, firstId) < 0;
  return missing ? { firstLeft: firstId } : undefined;
}

/** How much of a range lies before an entry, by the time in the ids: 0 … 1. */
export function fractionDone(range: { readonly from: string; readonly to: string }, id: string): number {
  const [from, to, at] = [range.from, range.to, id].map((each) => Number(each.split("-")[0])) as [
    number,
    number,
    number,
  ];
  return to <= from ? 1 : Math.min(1, Math.max(0, (at - from) / (to - from)));
}
