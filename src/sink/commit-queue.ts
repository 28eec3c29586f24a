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

/** A batch that has waited for so long is not put off for others that came later, however far behind those are. */
const longestWaitMs = 500;
/** A batch that takes no more of a transaction than such a part costs next to nothing. */
const smallPart = 1 / 16;

/**
 * The batches of a member's shards that wait for a transaction. The one that is furthest behind goes first, by when its entries were appended: shards that lie
 * side by side in time show the primary as it was at one moment, and bring keys that lie side by side in the index. Small batches
 * go before others, so that shards that keep up do not wait for those that are behind.
 */
export class CommitQueue<Each extends Waiting> {
  /** What was taken before, and then in the order in which they came. */
  private waiting: Each[] = [];
  private readonly takenBefore = new WeakSet<Each>();

  get first(): Each | undefined {
    return this.waiting[0];
  }

  /** Whether all that wait are at least such a part of a transaction, by entries or by bytes. */
  fills(part: number, { mostEntries, mostBytes }: TransactionLimits): boolean {
    let [entries, bytes] = [0, 0];
    for (const { request } of this.waiting) {
      entries += request.entries;
      bytes += request.bytes;
    }
    return entries >= mostEntries * part || bytes >= mostBytes * part;
  }

  add(batch: Each): void {
    this.waiting.push(batch);
  }

  /** For what was taken before. */
  addFirst(batch: Each): void {
    this.takenBefore.add(batch);
    this.waiting.unshift(batch);
  }

  /** Those whose turn it is, as far as they fit into one transaction; `now` on the clock of performance.now(). */
  take(limits: TransactionLimits, now: number): Each[] {
    const { mostEntries, mostBytes } = limits;
    const taken: Each[] = [];
    let [entries, bytes] = [0, 0];
    for (const batch of this.inTurn(limits, now)) {
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

  private inTurn(limits: TransactionLimits, now: number): Each[] {
    return this.waiting
      .map((batch) => ({ batch, rank: this.rankOf(batch, limits, now) }))
      .sort((left, right) => left.rank - right.rank || appendedBefore(left.batch, right.batch, left.rank))
      .map(({ batch }) => batch);
  }

  private rankOf(batch: Each, limits: TransactionLimits, now: number): number {
    if (this.takenBefore.has(batch) || now - batch.since >= longestWaitMs) return 0;
    return isSmall(batch, limits) ? 1 : furthestFirst;
  }
}

/** The rank within which it is not the order of arrival that counts, which sorting keeps. */
const furthestFirst = 2;

function appendedBefore(left: Waiting, right: Waiting, rank: number): number {
  return rank === furthestFirst ? left.request.appendedAtMs - right.request.appendedAtMs : 0;
}

function isSmall({ request }: Waiting, { mostEntries, mostBytes }: TransactionLimits): boolean {
  return request.entries <= mostEntries * smallPart && request.bytes <= mostBytes * smallPart;
}
