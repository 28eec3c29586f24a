/** A batch that waits for a transaction. */
export interface Waiting {
  readonly request: {
    readonly entries: number;
    readonly bytes: number;
    /** When its first entry was appended to its stream, in milliseconds. */
    readonly appendedAtMs: number;
  };
  /** Since when it waits, on the clock of performance.now(). */
  readonly since: number;
  /** It must not share its transaction. */
  readonly alone: boolean;
}

/** What one transaction takes at most, unless one batch alone is larger. */
export interface TransactionLimits {
  readonly mostEntries: number;
  readonly mostBytes: number;
}

/** From so many entries on a transaction's own cost is small beside its rows'. */
export const worthOne = 256;
/** A batch of a shard that is up to date is not put off for longer, however far behind the others are. */
const longestWaitMs = 500;

/**
 * The batches of a member's shards that wait for a transaction. The one that is furthest behind goes first, by when its entries were appended: shards that lie
 * side by side in time show the primary as it was at one moment, and bring keys that lie side by side in the index. Batches with few
 * entries cost next to nothing and go before others, so that shards that keep up do not wait for those that are behind.
 */
export class CommitQueue<Each extends Waiting> {
  /** In the order in which they came. */
  private waiting: Each[] = [];

  get first(): Each | undefined {
    return this.waiting[0];
  }

  get entries(): number {
    return this.waiting.reduce((sum, { request }) => sum + request.entries, 0);
  }

  add(batch: Each): void {
    this.waiting.push(batch);
  }

  /** For what was taken before. */
  addFirst(batch: Each): void {
    this.waiting.unshift(batch);
  }

  /** Those whose turn it is, as far as they fit into one transaction; `now` on the clock of performance.now(). */
  take({ mostEntries, mostBytes }: TransactionLimits, now: number): Each[] {
    const taken: Each[] = [];
    let [entries, bytes] = [0, 0];
    for (const batch of inTurn(this.waiting, now)) {
      const { request, alone } = batch;
      const fits = entries + request.entries <= mostEntries && bytes + request.bytes <= mostBytes;
      if (taken.length > 0 && (alone || !fits)) continue;
      taken.push(batch);
      entries += request.entries;
      bytes += request.bytes;
      if (alone) break;
    }
    const gone = new Set(taken);
    this.waiting = this.waiting.filter((batch) => !gone.has(batch));
    return taken;
  }
}

function inTurn<Each extends Waiting>(waiting: readonly Each[], now: number): Each[] {
  return waiting
    .map((batch) => ({ batch, rank: rankOf(batch, now) }))
    .sort((left, right) => left.rank - right.rank || appendedBefore(left.batch, right.batch, left.rank))
    .map(({ batch }) => batch);
}

/** Of the first, as of those that are alone, the one that came first; sorting keeps their order. */
function rankOf({ request, since, alone }: Waiting, now: number): number {
  if (alone || now - since >= longestWaitMs) return 0;
  return request.entries < worthOne ? 1 : 2;
}

function appendedBefore(left: Waiting, right: Waiting, rank: number): number {
  return rank === 0 ? 0 : left.request.appendedAtMs - right.request.appendedAtMs;
}
