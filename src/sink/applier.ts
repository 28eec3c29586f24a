import type pg from "pg";
import { fold, type Folded } from "../batch/fold.ts";
import { PlaceholderSearch } from "../batch/placeholder-search.ts";
import { workOf, type Work } from "../batch/work.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Change, Commit } from "../change/change.ts";
import { countByTable, type TableChanges } from "../change/count-changes.ts";
import { addedAtMs } from "../change/entry-id.ts";
import type { Chunk } from "../decode/chunk.ts";
import type { DecodedChunk } from "../decode/decode-chunk.ts";
import type { Entries } from "../decode/entries.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { ProgressListener, SkipReason } from "../observe/progress.ts";
import { classify, type Classified } from "./classify.ts";
import type { Committer } from "./committer.ts";
import { nothingDone, type BatchSummary, type Checkpoint, type Lease } from "./shard-store.ts";
import { truncateTables } from "./truncate-tables.ts";
import { RowsUnknown } from "./write-segment.ts";

export interface ApplierOptions {
  readonly pool: pg.Pool;
  readonly committer: Pick<Committer, "commit">;
  readonly catalog: Catalog;
  readonly progress: ProgressListener;
  readonly lease: Lease;
  /** Where the shard stands. */
  readonly checkpoint: Checkpoint;
  /** The highest position that the shard has written. */
  readonly position: bigint;
}

/** Part of a chunk. */
interface Range {
  readonly from: number;
  readonly to: number;
}

const noChanges: readonly Change[] = [];
const nothingFolded: Folded = { segments: [], folded: new Map() };

/**
 * Applies chunks of one shard, each in one transaction that begins by moving the checkpoint (I1, I2). A chunk that fails on a
 * change is applied in halves, in order, so that all before the change at fault is kept and the error names that change alone.
 */
export class Applier {
  private readonly options: ApplierOptions;
  private current: Checkpoint;
  private position: bigint;
  private begun: () => void = () => undefined;

  constructor(options: ApplierOptions) {
    this.options = options;
    this.current = options.checkpoint;
    this.position = options.position;
  }

  get checkpoint(): Checkpoint {
    return this.current;
  }

  /**
   * Applies the chunk's entries up to the first one that cannot be decoded, whose failure it throws then. `begun` is called when its turn
   * has come, and it is decoded no sooner.
   */
  async apply(chunk: Chunk, begun: () => void = () => undefined): Promise<void> {
    this.begun = begun;
    try {
      await this.applyRange(chunk, 0, chunk.entries.length, true);
    } catch (error) {
      if (!(error instanceof NotPlain)) throw error;
      await this.applyParts(chunk);
    }
  }

  /** What stands before a TRUNCATE is applied before it begins, since it commits by itself (I1). */
  private async applyParts(chunk: Chunk): Promise<void> {
    const { changes, entries, failure } = chunk.decoded;
    let from = 0;
    for (const { op, entryIndex } of changes) {
      if (op !== "t") continue;
      await this.applyRange(chunk, from, entryIndex, true);
      from = entryIndex;
    }
    await this.applyRange(chunk, from, entries.length, true);
    if (failure !== undefined) throw failure;
  }

  private async applyRange(chunk: Chunk, from: number, to: number, fresh: boolean): Promise<void> {
    if (from === to) return;
    try {
      await this.transact(chunk, { from, to }, fresh);
    } catch (error) {
      if (error instanceof NotPlain) throw error;
      const classified = this.explain(error, chunk, from, to);
      const wait = error instanceof RowsUnknown ? error.entryIndex : undefined;
      if (wait !== undefined) return this.applyUpTo(chunk, from, wait, classified);
      if (classified.reaction === "retry") throw classified.error;
      // The tables may have changed since they were read.
      this.options.catalog.forget();
      if (fresh) return this.applyRange(chunk, from, to, false);
      if (to - from === 1) throw classified.error;
      const middle = (from + to) >> 1;
      await this.applyRange(chunk, from, middle, false);
      await this.applyRange(chunk, middle, to, false);
    }
  }

  /** What comes before a change that must wait is applied, so that shards that wait for each other cannot stand still. */
  private async applyUpTo(chunk: Chunk, from: number, index: number, why: Classified): Promise<never> {
    await this.applyRange(chunk, from, index, false);
    throw why.error;
  }

  private explain(error: unknown, chunk: Chunk, from: number, to: number): Classified {
    const stream = this.options.lease.stream;
    const index = error instanceof RowsUnknown ? error.entryIndex : to - from === 1 ? from : undefined;
    const classified =
      error instanceof RowsUnknown
        ? {
            reaction: "isolate" as const,
            error: new SluiceError(error.code, "the row's large values are not known here"),
          }
        : classify(error);
    const change =
      index === undefined ? undefined : chunk.decoded.changes.find((each) => each.entryIndex === index);
    const entryId = index === undefined ? undefined : chunk.entries.idOf(index);
    const place = {
      stream,
      ...(entryId === undefined ? {} : { entryId }),
      ...(change === undefined ? {} : { table: change.table.id, keyColumns: keyColumns(change) }),
    };
    return { reaction: classified.reaction, error: classified.error.at(place) };
  }

  /** `fresh`: none of it has failed before. */
  private async transact(chunk: Chunk, range: Range, fresh: boolean): Promise<void> {
    const { pool, committer, lease, progress } = this.options;
    const { from, to } = range;
    const { entries } = chunk;
    const next = this.checkpointAt(entries, from, to);
    const [bytes, appendedAtMs] = [entries.bytesOf(from, to), addedAtMs(entries.idOf(from))];
    const alone = !fresh || (chunk.isDecoded && changesOf(chunk.decoded, range)[0]?.op === "t");
    let [done, changes, folded] = [nothingDone, noChanges, nothingFolded];
    const { stale, seconds } = await committer.commit({
      ...{ stream: lease.stream, entries: to - from, bytes, appendedAtMs, alone, begun: this.begun },
      prepare: async () => {
        changes = changesOf(chunk.decoded, range);
        if (!isPlain(chunk.decoded, changes, range, alone)) throw new NotPlain();
        done = batchSummary(changes, to - from);
        const works = await this.works(changes);
        folded = fold(works, this.position);
        if (works[0]?.kind === "truncate") await truncateTables(pool, works);
        return { move: { lease, from: this.current, to: next, done }, segments: folded.segments };
      },
    });
    this.current = next;
    if (done.position > this.position) this.position = done.position;
    progress.batchApplied({
      ...{ stream: lease.stream, entries: to - from, bytes, seconds },
      committedAtMs: done.committedAtMs === 0 ? undefined : done.committedAtMs,
      tables: tablesOf(chunk.decoded, changes).map((each) => ({
        ...each,
        folded: folded.folded.get(each.table) ?? 0,
      })),
      skipped: countSkips(chunk.decoded, range, stale),
    });
  }

  private async works(changes: readonly Change[]): Promise<Work[]> {
    const { catalog } = this.options;
    const search = new PlaceholderSearch(changes);
    const works: Work[] = [];
    for (;;) {
      addKnown(works, changes, catalog, search);
      const change = changes[works.length];
      if (change === undefined) return works;
      works.push(workOf(change, await this.plan(change, changes.length), search));
    }
  }

  private async plan(change: Change, batch: number): Promise<Awaited<ReturnType<Catalog["plan"]>>> {
    try {
      return await this.options.catalog.plan(change);
    } catch (error) {
      if (batch === 1 && error instanceof SluiceError) throw error.at({ keyColumns: keyColumns(change) });
      throw error;
    }
  }

  private checkpointAt(entries: Entries, from: number, to: number): Checkpoint {
    const id = (to === entries.length ? entries.lastId : undefined) ?? entries.idOf(to - 1);
    return { id, entries: this.current.entries + BigInt(to - from) };
  }
}

/** Adds the changes' work up to the first whose plan is not known. */
function addKnown(
  works: Work[],
  changes: readonly Change[],
  catalog: Catalog,
  search: PlaceholderSearch,
): void {
  for (let index = works.length; index < changes.length; index++) {
    const change = changes[index];
    if (change === undefined) return;
    const plan = catalog.knownPlan(change);
    if (plan === undefined) return;
    works.push(workOf(change, plan, search));
  }
}

/** Thrown before anything is done: a range of entries has to be applied in parts. */
class NotPlain extends Error {}

/** Whether all of the range can be decoded, with no TRUNCATE but at its beginning where that has the transaction to itself. */
function isPlain(
  { entries }: DecodedChunk,
  changes: readonly Change[],
  { from, to }: Range,
  alone: boolean,
): boolean {
  if (to > entries.length) return false;
  for (const { op, entryIndex } of changes) if (op === "t" && !(alone && entryIndex === from)) return false;
  return true;
}

function changesOf({ changes, entries }: DecodedChunk, { from, to }: Range): readonly Change[] {
  if (from === 0 && to === entries.length) return changes;
  return changes.filter(({ entryIndex }) => entryIndex >= from && entryIndex < to);
}

function tablesOf(decoded: DecodedChunk, changes: readonly Change[]): readonly TableChanges[] {
  return changes === decoded.changes ? decoded.tables : countByTable(changes);
}

function countSkips(
  chunk: DecodedChunk,
  { from, to }: Range,
  stale: number,
): ReadonlyMap<SkipReason, number> {
  const counts = new Map<SkipReason, number>();
  for (const { entryIndex, reason } of chunk.skips) {
    if (entryIndex >= from && entryIndex < to) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  if (stale > 0) counts.set("stale", stale);
  return counts;
}

function batchSummary(changes: readonly Change[], entries: number): BatchSummary {
  let [position, snapshotPosition, commitLsn, committedAtMs] = [0n, 0n, 0, 0];
  let last: Commit | undefined;
  for (const { op, position: own, commit } of changes) {
    if (own > position) position = own;
    if (op === "r" && own > snapshotPosition) snapshotPosition = own;
    if (commit === last) continue;
    last = commit;
    committedAtMs = Math.max(committedAtMs, commit.atMs);
    commitLsn = Math.max(commitLsn, commit.lsn);
  }
  return {
    position,
    snapshotPosition,
    commitLsn,
    committedAtMs,
    applied: changes.length,
    skipped: entries - changes.length,
  };
}

/** Names only: the key's values are the user's. */
function keyColumns(change: Change): readonly string[] {
  if (change.key === undefined) return [];
  try {
    return Object.keys(JSON.parse(change.key) as object);
  } catch {
    return [];
  }
}
