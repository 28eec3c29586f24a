import type pg from "pg";
import { Catalog } from "../catalog/catalog.ts";
import { tableFilter } from "../catalog/table-filter.ts";
import { compareEntryIds } from "../change/entry-id.ts";
import { Decoder } from "../decode/decode-chunk.ts";
import type { Entries } from "../decode/entries.ts";
import { Positions } from "../decode/positions.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { classify } from "../sink/classify.ts";
import { countingRows, writingRows } from "../sink/replay-rows.ts";
import { errorDetail, ReplayStore, type ReplayState } from "../sink/replay-store.ts";
import { ReplayTally, type Replayed } from "../sink/replay-tally.ts";
import { ReplayWriter } from "../sink/replay-writer.ts";
import { Interrupted, retrying, type Patience } from "../sink/retrying.ts";
import { fractionDone } from "../source/entry-range.ts";
import { RangeReader, type RangeChunk, type RangeGap } from "../source/range-reader.ts";
import { leftOf, type PreparedRange } from "./replay-ranges.ts";
import type { ReplayOptions, StreamReplay } from "./replay.ts";

export type ReplaySession = ReplayOptions & { readonly pool: pg.Pool };

/** Replays one stream from one end of its range to the other, and records it. Failures are in the result. */
export async function replayStream(session: ReplaySession, range: PreparedRange): Promise<StreamReplay> {
  const { pool, config, watcher, stopping, dryRun, tables, startedBy } = session;
  const { stream, from, to } = range;
  const started = performance.now();
  const store = new ReplayStore(pool, config.pipeline);
  const patience = {
    retryMaxMs: config.retryMaxMs,
    stopping,
    retried: (error: SluiceError) => watcher.retried(error),
  };
  const run = new StreamRun(session, range, patience);
  let id: string | null = null;
  let error: SluiceError | null = null;
  let state: ReplayState = "done";
  try {
    if (!dryRun) id = await retrying(() => store.start({ stream, from, to, tables, startedBy }), patience);
    watcher.started({ stream, from, to });
    await run.toEnd();
  } catch (failure) {
    state = failure instanceof Interrupted ? "interrupted" : "failed";
    if (state === "failed") error = classify(failure).error.at({ stream });
  }
  const seconds = (performance.now() - started) / 1000;
  const result = { stream, from, to, state, id, ...run.result(), seconds, error };
  if (id !== null) await recordEnd(store, result, patience);
  watcher.ended(result);
  return result;
}

const mostTries = 5;

/** The work is done or not, whatever becomes of its record; an interrupted replay is to end soon. */
async function recordEnd(store: ReplayStore, result: StreamReplay, patience: Patience): Promise<void> {
  const { state, entries, tables, skipped, leftOut, unknownRows, gaps, lastId, error } = result;
  const [written, stale] = [tables.map((each) => each.written), tables.map((each) => each.stale)].map(
    (counts) => counts.reduce((sum, count) => sum + count, 0),
  );
  const detail = { lastId, tables, skipped, leftOut, unknownRows, gaps, error: error && errorDetail(error) };
  const end = { state, entries, written: written ?? 0, stale: stale ?? 0, detail };
  const giveUp = new AbortController();
  let tries = 0;
  const retried = (failure: SluiceError): void => {
    patience.retried(failure);
    if (++tries >= mostTries) giveUp.abort();
  };
  const limited = { ...patience, stopping: giveUp.signal, retried };
  await retrying(() => store.end(result.id ?? "", end), limited).catch((failure: unknown) =>
    patience.retried(classify(failure).error),
  );
}

/** Read → decode → write, for one stream from one end of its range to the other. The next chunk is read while one is written. */
class StreamRun {
  private readonly session: ReplaySession;
  private readonly range: PreparedRange;
  private readonly patience: Patience;
  private readonly tally = new ReplayTally();
  private readonly gaps: RangeGap[] = [];
  private lastId: string | null = null;
  private done = 0;

  constructor(session: ReplaySession, range: PreparedRange, patience: Patience) {
    this.session = session;
    this.range = range;
    this.patience = patience;
  }

  result(): Replayed & Pick<StreamReplay, "lastId" | "gaps"> {
    return { ...this.tally.result(), lastId: this.lastId, gaps: this.gaps };
  }

  /** Throws Interrupted when it is to stop. */
  async toEnd(): Promise<void> {
    const { stream, to, gap, existed } = this.range;
    const { config, stopping } = this.session;
    if (gap !== undefined) this.passOver(gap);
    const from = gap === undefined ? this.range.from : gap.firstLeft;
    if (from === undefined || compareEntryIds(to, from) < 0) return;
    const { redisUrl: url, batchEntries: maxEntries, batchBytes: targetBytes } = config;
    const name = `sluice:replay:${config.member}:${stream}`;
    const place = { stream, from, to, fromSeen: gap !== undefined, existed };
    const reader = new RangeReader({ url, name, ...place, maxEntries, targetBytes });
    const ended = new AbortController();
    const reading = { ...this.patience, stopping: AbortSignal.any([stopping, ended.signal]) };
    const next = (): Promise<RangeChunk> => retrying(() => reader.read(), reading);
    const [decoder, writer] = [this.decoder(), this.writer()];
    try {
      for (let chunk = await next(); chunk.entries.length > 0 || chunk.gap !== undefined;) {
        if (stopping.aborted) throw new Interrupted();
        if (chunk.gap !== undefined) this.meetGap(chunk.gap);
        const ahead = next();
        // What was read ahead is of no use when the chunk before it failed.
        ahead.catch(() => undefined);
        await this.apply(chunk.entries, decoder, writer);
        chunk = await ahead;
      }
    } finally {
      ended.abort();
      reader.close();
    }
  }

  private decoder(): Decoder {
    const { config, tables } = this.session;
    const [carried, chosen] = [tableFilter(config.tables), tableFilter(tables)];
    return new Decoder({
      stream: this.range.stream,
      nullKey: config.nullKey,
      includes: (schema, table) => carried(schema, table) && chosen(schema, table),
      base: this.range.base,
      positions: Positions.ofReplay(this.range.snapshotPosition),
    });
  }

  private writer(): ReplayWriter {
    const { pool, dryRun } = this.session;
    const rows = dryRun ? countingRows() : writingRows;
    return new ReplayWriter({
      pool,
      catalog: new Catalog(pool),
      rows,
      tally: this.tally,
      patience: this.patience,
    });
  }

  /** An entry that cannot be decoded is left out; the decoder goes on behind it. */
  private async apply(entries: Entries, decoder: Decoder, writer: ReplayWriter): Promise<void> {
    for (let rest = entries; rest.length > 0;) {
      const chunk = decoder.decode(rest);
      const good = chunk.entries.length;
      await writer.write(chunk);
      if (chunk.failure !== undefined) this.tally.leaveOut(rest.idOf(good), chunk.failure);
      const read = Math.min(good + 1, rest.length);
      this.tally.read(read, chunk.skips);
      this.done += read;
      rest = rest.slice(read);
    }
    const id = entries.lastId;
    if (id === undefined) return;
    this.lastId = id;
    const { stream, begin, to } = this.range;
    const fraction = fractionDone({ from: begin, to }, id);
    this.session.watcher.advanced({ stream, id, entries: this.done, fraction });
  }

  /** Entries were removed while the range was replayed. */
  private meetGap(gap: RangeGap): void {
    const { stream } = this.range;
    if (this.session.gaps.later === "accept") return this.passOver(gap);
    const text = `entries from ${gap.missing} on were removed before they were replayed (${leftOf(gap.firstLeft)})`;
    throw new SluiceError("REPLAY_TRIMMED", text, { place: { stream } });
  }

  private passOver(gap: RangeGap): void {
    this.gaps.push(gap);
    this.session.watcher.gap(this.range.stream, gap);
  }
}
