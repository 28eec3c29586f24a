import type pg from "pg";
import type { Segment } from "../batch/fold.ts";
import type { Work } from "../batch/work.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { addRows, upsertedTables } from "./add-rows.ts";
import { sendTogether } from "./connect.ts";
import type { CopyTrials } from "./copy-inserts.ts";
import type { Move, ShardStore } from "./shard-store.ts";
import { StepSequence } from "./step-sequence.ts";
import type { DatabaseHorizon } from "./tombstone-horizon.ts";
import { writeSegment } from "./write-segment.ts";

/** What one shard's batch does. */
export interface ShardBatch {
  /** Of the checkpoint; fails, and the transaction with it, when another member has the shard (I2). */
  readonly move: Move;
  /** Written one after the other. */
  readonly segments: readonly Segment[];
}

export interface TransactionParts {
  readonly shards: Pick<ShardStore, "move" | "moving">;
  readonly horizon: DatabaseHorizon;
  readonly trials: CopyTrials;
}

/**
 * Moves the checkpoints of some shards and writes their rows, in one transaction (I1) that is one packet: what must hold is asserted by the
 * statements. All segments must be sendable. Returns how many changes were older than their rows.
 *
 * Shards have no keys in common, but for changed shard columns, where a second look follows; so their segments are written as one, with
 * one statement for each table and kind.
 */
export async function commitTogether(
  client: pg.ClientBase,
  batches: readonly ShardBatch[],
  { shards, horizon, trials }: TransactionParts,
  { looking }: { readonly looking: boolean },
): Promise<number> {
  const segments = inLayers(batches);
  for (const table of upsertedTables(segments))
    if (horizon.known(table) === undefined) await horizon.refresh(client, table);
  const sequence = new StepSequence(client);
  sequence.add(shards.moving(batches.map(({ move }) => move)));
  const rows = addRows(sequence, segments, { horizon, trials, looking });
  const counts = await sequence.run();
  for (const table of rows.copied) trials.succeeded(table);
  return rows.stale(counts);
}

/** The first segments of all as one, then the second ones. */
function inLayers(batches: readonly ShardBatch[]): readonly Segment[] {
  const [first, second] = batches;
  if (first !== undefined && second === undefined) return first.segments;
  const depth = Math.max(...batches.map(({ segments }) => segments.length));
  return Array.from({ length: depth }, (_, layer) =>
    asOne(batches.flatMap(({ segments }) => segments[layer] ?? [])),
  );
}

function asOne(segments: readonly Segment[]): Segment {
  const none: readonly Work[] = [];
  const work = none.concat(...segments.map((each) => each.work));
  const plan = segments[0]?.upserts?.plan;
  if (plan === undefined || segments.some(({ upserts }) => upserts?.plan !== plan)) return { work };
  return { work, upserts: { plan, isNew: segments.every(({ upserts }) => upserts?.isNew) } };
}

/** The same for one shard whose segments are not sendable: waits for answers that decide what comes next. */
export async function commitStepwise(
  client: pg.ClientBase,
  { move, segments }: ShardBatch,
  { shards, horizon }: TransactionParts,
): Promise<number> {
  const { opening, writing } = sendTogether(client, () => ({
    opening: [client.query("BEGIN"), shards.move(client, move)],
    writing: writeSegments(client, segments, horizon),
  }));
  await settled([...opening, writing]);
  requireCommit(await client.query("COMMIT"));
  return segments.reduce((sum, { work }) => sum + work.length, 0) - (await writing);
}

async function writeSegments(
  client: pg.ClientBase,
  segments: readonly Segment[],
  horizon: DatabaseHorizon,
): Promise<number> {
  let written = 0;
  for (const segment of segments) written += await writeSegment(client, segment, horizon);
  return written;
}

/** Waits for all, so that none is at work any more, and throws the first failure in order: the others follow from it. */
async function settled(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === "rejected") throw result.reason;
  }
}

/** A transaction in which a statement failed answers a COMMIT with ROLLBACK. */
function requireCommit({ command }: pg.QueryResult): void {
  if (command !== "COMMIT") throw new SluiceError("INTERNAL", `COMMIT was answered by ${command}`);
}
