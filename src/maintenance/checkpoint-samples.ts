import { compareEntryIds } from "../change/entry-id.ts";

/** An id, and how many of the stream's entries are at or before it, removed ones included. */
export interface NumberedEntry {
  readonly id: string;
  readonly entries: bigint;
}

/** Samples kept of one stream; beyond it every second one is forgotten. */
const mostSamples = 1_000;

/**
 * Where each shard's checkpoint was, round by round. Redis cannot tell an entry's number, so "all but the newest N" is found by these:
 * to the precision of a round, and without reading any entry.
 */
export class CheckpointSamples {
  private readonly samples = new Map<string, NumberedEntry[]>();

  note(stream: string, sample: NumberedEntry): void {
    const known = this.samples.get(stream) ?? [];
    const last = known.at(-1);
    const wentBack =
      last !== undefined && (compareEntryIds(sample.id, last.id) < 0 || sample.entries < last.entries);
    const kept = wentBack ? [] : known;
    if (wentBack || sample.id !== last?.id) kept.push(sample);
    this.samples.set(
      stream,
      kept.length > mostSamples ? kept.filter((_, index) => (kept.length - index) % 2 === 1) : kept,
    );
  }

  /** The newest sample with at most so many entries at or before it. */
  newestUpTo(stream: string, entries: bigint): NumberedEntry | undefined {
    return this.samples.get(stream)?.findLast((sample) => sample.entries <= entries);
  }

  /** Forgets what lies before the stream's first entry, and streams that are not asked about any more. */
  forget(firstIds: ReadonlyMap<string, string | undefined>): void {
    for (const [stream, samples] of this.samples) {
      const first = firstIds.get(stream);
      if (!firstIds.has(stream)) this.samples.delete(stream);
      else if (first !== undefined) {
        this.samples.set(
          stream,
          samples.filter(({ id }) => compareEntryIds(id, first) >= 0),
        );
      }
    }
  }
}
