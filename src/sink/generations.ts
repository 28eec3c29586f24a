import { SluiceError } from "../errors/sluice-error.ts";

export interface KnownStream {
  readonly stream: string;
  readonly generation: number;
  /** Something of it was applied. */
  readonly used: boolean;
}

/**
 * Which streams are new to the pipeline, and of which generation they are. Streams that share no name with those known are the
 * next generation: the router now spreads the keys otherwise. Throws STREAMS_MIXED when known and new names are mixed, since the
 * entries of two routings would meet in one stream.
 */
export function newStreams(
  known: readonly KnownStream[],
  configured: readonly string[],
): { readonly generation: number; readonly streams: readonly string[] } {
  const newest = known.reduce((highest, { generation }) => Math.max(highest, generation), 0);
  const generations = new Map(known.map(({ stream, generation }) => [stream, generation]));
  const fresh = configured.filter((stream) => !generations.has(stream));
  const met = new Set(configured.flatMap((stream) => generations.get(stream) ?? []));
  if (met.size === 0) return { generation: newest + 1, streams: fresh };
  // Nothing came through yet, so the names may still be corrected.
  if (!known.some(({ used }) => used)) return { generation: newest, streams: fresh };
  if (met.size === 1 && fresh.length === 0) return { generation: newest, streams: [] };
  const mixed = fresh.length > 0 ? `${fresh.join(", ")} beside known streams` : "streams of two generations";
  throw new SluiceError("STREAMS_MIXED", `SLUICE_STREAMS names ${mixed}`);
}
