import type pg from "pg";
import type { Segment } from "../batch/fold.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { CopyTrials } from "./copy-inserts.ts";
import { sendTogether } from "./connect.ts";
import { prepareSegment } from "./prepare-segment.ts";
import type { TombstoneHorizon } from "./tombstone-horizon.ts";
import { writeSegment } from "./write-segment.ts";

export interface BatchTransaction {
  /** Moves the checkpoint; fails, and the transaction with it, when another member has the shard (I2). */
  readonly move: () => Promise<void>;
  readonly segments: readonly Segment[];
  readonly horizon: TombstoneHorizon;
  readonly trials: CopyTrials;
  /** Whether the whole transaction may be sent before any of it is answered. */
  readonly atOnce: boolean;
}

/**
 * Moves the checkpoint and writes the rows, in one transaction (I1). Returns how many rows were written.
 *
 * Its statements are sent without waiting for each other, and where no answer decides what comes next so is the COMMIT: what must hold
 * is asserted by the statements, and a transaction in which one failed commits nothing. The whole batch is then one packet.
 */
export async function commitBatch(client: pg.ClientBase, batch: BatchTransaction): Promise<number> {
  const { move, segments, horizon, trials, atOnce } = batch;
  const [first = { work: [] }, second] = segments;
  // What can fail here must do so before anything is sent: the COMMIT behind it would commit the rest.
  const prepared = atOnce && second === undefined ? prepareSegment(first, horizon, trials) : undefined;
  const { opening, parts, commit } = sendTogether(client, () => {
    const begun = [client.query("BEGIN"), move()] as const;
    const sent = prepared?.map((send) => send(client));
    return { opening: begun, parts: sent, commit: sent && client.query("COMMIT") };
  });
  if (parts === undefined || commit === undefined) {
    const writing = writeSegments(client, segments, horizon);
    await settled([...opening, writing]);
    requireCommit(await client.query("COMMIT"));
    return await writing;
  }
  await settled([...opening, ...parts, commit]);
  requireCommit(await commit);
  return sum(await Promise.all(parts));
}

async function writeSegments(
  client: pg.ClientBase,
  segments: readonly Segment[],
  horizon: TombstoneHorizon,
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

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
