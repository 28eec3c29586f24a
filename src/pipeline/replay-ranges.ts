import type pg from "pg";
import { compareEntryIds } from "../change/entry-id.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { classify } from "../sink/classify.ts";
import type { DecodeOptions } from "../decode/decode-chunk.ts";
import { baseOf, DecisionStore } from "../sink/decision-store.ts";
import { requireSchema } from "../sink/migrations.ts";
import { ReplayStore } from "../sink/replay-store.ts";
import { trimmedStart } from "../source/entry-range.ts";
import { readExtents, type RangeGap } from "../source/range-reader.ts";
import type { StreamExtent } from "../source/stream-extent.ts";
import type { ReplayedRange, ReplayOptions, ReplayRange } from "./replay.ts";

export interface PreparedRange extends ReplayedRange {
  /** Removed before the start, which was accepted. */
  readonly gap: RangeGap | undefined;
  /** The stream was there at the start, or before. */
  readonly existed: boolean;
  readonly base: DecodeOptions["base"];
  /** Highest position of a snapshot's row that the shard has applied. */
  readonly snapshotPosition: bigint;
  /** What of it there is begins here at the earliest; for the progress. */
  readonly begin: string;
}

/** Each range with its end and what is to be known of it. Throws SluiceErrors. */
export async function prepareRanges(
  options: ReplayOptions,
  pool: pg.Pool,
): Promise<readonly PreparedRange[]> {
  const { config } = options;
  try {
    const client = await pool.connect();
    await requireSchema(client).finally(() => client.release());
    const store = new ReplayStore(pool, config.pipeline);
    const shards = await store.shards();
    const current = shards.filter(({ retired }) => !retired).map(({ stream }) => stream);
    const ranges = options.select([...new Set([...config.streams, ...current])]);
    const decisions = new DecisionStore(pool, config.pipeline);
    const redis = { url: config.redisUrl, name: `sluice:replay:${config.member}` };
    const extents = await readExtents(
      redis,
      ranges.map(({ stream }) => stream),
    );
    const prepared: PreparedRange[] = [];
    for (const range of ranges) {
      const { stream } = range;
      const applied = shards.some((shard) => shard.stream === stream && shard.applied);
      const base = baseOf(await decisions.bases(stream));
      const snapshotPosition = await store.snapshotPosition(stream);
      prepared.push({ ...bounded(range, extents.get(stream), applied), base, snapshotPosition });
    }
    if (options.gaps.atStart === "refuse") refuseTrimmed(prepared);
    return prepared;
  } catch (failure) {
    throw classify(failure).error;
  }
}

function bounded(
  { stream, from, to }: ReplayRange,
  extent: StreamExtent | undefined,
  applied: boolean,
): Omit<PreparedRange, "base" | "snapshotPosition"> {
  const last = extent?.lastId ?? from;
  const first = extent?.firstId ?? from;
  const existed = extent !== undefined || applied;
  const trimmed = trimmedStart(from, extent, existed);
  return {
    stream,
    from,
    to: to === undefined || compareEntryIds(last, to) < 0 ? last : to,
    gap: trimmed && { missing: from, firstLeft: trimmed.firstLeft },
    existed,
    begin: compareEntryIds(from, first) < 0 ? first : from,
  };
}

function refuseTrimmed(ranges: readonly PreparedRange[]): void {
  const trimmed = ranges.filter(({ gap }) => gap !== undefined);
  const [first] = trimmed;
  if (first === undefined) return;
  const each = trimmed.map(
    ({ stream, from, gap }) => `${stream} from ${from} on (${leftOf(gap?.firstLeft)})`,
  );
  throw new SluiceError("REPLAY_TRIMMED", `part of the range was removed: ${each.join("; ")}`, {
    ...(trimmed.length === 1 ? { place: { stream: first.stream } } : {}),
  });
}

export function leftOf(id: string | undefined): string {
  return id === undefined ? "nothing of it is left" : `the first entry that is left is ${id}`;
}
