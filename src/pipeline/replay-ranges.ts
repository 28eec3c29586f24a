import type pg from "pg";
import { compareEntryIds } from "../change/entry-id.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { classify } from "../sink/classify.ts";
import { baseOf, DecisionStore } from "../sink/decision-store.ts";
import { requireSchema } from "../sink/migrations.ts";
import { ReplayStore } from "../sink/replay-store.ts";
import { trimmedStart } from "../source/entry-range.ts";
import { readExtents, type RangeGap } from "../source/range-reader.ts";
import type { ReplayedRange, ReplayOptions } from "./replay.ts";

export interface PreparedRange extends ReplayedRange {
  /** Removed before the start, which was accepted. */
  readonly gap: RangeGap | undefined;
  readonly base: (entryId: string) => bigint;
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
    const known = new Set([...config.streams, ...(await store.streams())]);
    const ranges = options.select([...known]);
    const decisions = new DecisionStore(pool, config.pipeline);
    const redis = { url: config.redisUrl, name: `sluice:replay:${config.member}` };
    const extents = await readExtents(
      redis,
      ranges.map(({ stream }) => stream),
    );
    const prepared: PreparedRange[] = [];
    for (const { stream, from, to } of ranges) {
      const extent = extents.get(stream);
      const last = extent?.lastId ?? from;
      const end = to === undefined || compareEntryIds(last, to) < 0 ? last : to;
      const trimmed = trimmedStart(from, extent);
      const gap = trimmed && { missing: from, firstLeft: trimmed.firstLeft };
      const base = baseOf(await decisions.bases(stream));
      const first = extent?.firstId ?? from;
      prepared.push({
        stream,
        from,
        to: end,
        gap,
        base,
        snapshotPosition: await store.snapshotPosition(stream),
        begin: compareEntryIds(from, first) < 0 ? first : from,
      });
    }
    if (options.gaps.atStart === "refuse") refuseTrimmed(prepared);
    return prepared;
  } catch (failure) {
    throw classify(failure).error;
  }
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
