import type { SluiceError } from "../errors/sluice-error.ts";
import type { Logger } from "./logger.ts";
import type { ProgressListener, ShardState } from "./progress.ts";

/** Identical errors are logged at most once in this time, in milliseconds. */
const quietMs = 10_000;

/** Distinct errors remembered; beyond it the oldest is forgotten and may be logged again early. */
const mostRemembered = 1_000;

/** Tells a shard's story in the log: changes of state and errors. Batches appear at level debug only. */
export function logProgress(logger: Logger, now: () => number = () => performance.now()): ProgressListener {
  const states = new Map<string, ShardState>();
  const limiter = new RepeatLimiter(now);
  return {
    entriesRead: () => undefined,
    changesDecoded: () => undefined,
    entriesSettled: () => undefined,
    batchApplied: (batch) => {
      const { stream, entries, bytes, seconds } = batch;
      logger.debug({ event: "batch_applied", stream, entries, bytes, ...seconds }, "batch applied");
    },
    rewound: (stream, reason, reclaimed) => {
      limiter.pass(`rewound ${stream} ${reason}`, (repeated) =>
        logger.info(
          { event: "rewound", stream, reason, reclaimed, ...repeated },
          "rewound to the checkpoint",
        ),
      );
    },
    shardState: (stream, state, error) => {
      const before = states.get(stream);
      states.set(stream, state);
      if (error !== undefined) {
        limiter.pass(`${state} ${stream} ${identity(error)}`, (repeated) => {
          const fields = { event: `shard_${state}`, stream, err: error, ...repeated };
          if (state === "stopped") logger.error(fields, `shard stopped: ${error.message}`);
          else logger.warn(fields, `shard ${state}: ${error.message}`);
        });
      } else if (before !== state) {
        logger.info({ event: `shard_${state}`, stream, before: before ?? null }, `shard ${state}`);
      }
    },
    retried: (stage, error) => {
      limiter.pass(`${stage} ${identity(error)}`, (repeated) =>
        logger.warn({ event: "retried", stage, err: error, ...repeated }, `trying again: ${error.message}`),
      );
    },
    standingBy: (stands) => {
      if (stands) logger.info({ event: "standing_by" }, "standing by: all shards have owners");
      else logger.info({ event: "took_up_work" }, "took up work after standing by");
    },
    ...maintenanceLog(logger),
  };
}

type MaintenanceListener = Pick<
  ProgressListener,
  | "entriesTrimmed"
  | "consumersRemoved"
  | "shardRetired"
  | "tombstonesPruned"
  | "warningBegan"
  | "warningEnded"
>;

function maintenanceLog(logger: Logger): MaintenanceListener {
  return {
    entriesTrimmed: (stream, entries) =>
      logger.debug({ event: "entries_trimmed", stream, entries }, "applied entries removed"),
    tombstonesPruned: (rows) => logger.debug({ event: "tombstones_pruned", rows }, "old tombstones removed"),
    consumersRemoved: (stream, consumers) =>
      logger.info({ event: "consumers_removed", stream, consumers }, "consumers that are gone removed"),
    shardRetired: (stream, step) => {
      const what =
        step === "marked" ? "nothing needs this shard any more" : "stream of a retired shard removed";
      logger.info({ event: "shard_retired", stream, step }, what);
    },
    warningBegan: ({ code, message, remedy }) =>
      logger.warn({ event: "warning_began", code, remedy }, `${code}: ${message}`),
    warningEnded: ({ code }) => logger.info({ event: "warning_ended", code }, `${code} has ended`),
  };
}

function identity(error: SluiceError): string {
  return `${error.code} ${error.place.stream ?? ""} ${error.message}`;
}

/** Lets the first of identical lines pass, then one per `quietMs` with the count of those held back. */
class RepeatLimiter {
  private readonly seen = new Map<string, { at: number; heldBack: number }>();
  private readonly now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  pass(key: string, write: (repeated: { readonly repeated?: number }) => void): void {
    const at = this.now();
    const last = this.seen.get(key);
    if (last !== undefined && at - last.at < quietMs) {
      last.heldBack += 1;
      return;
    }
    this.seen.delete(key);
    this.seen.set(key, { at, heldBack: 0 });
    const oldest = this.seen.keys().next().value;
    if (this.seen.size > mostRemembered && oldest !== undefined) this.seen.delete(oldest);
    write(last === undefined || last.heldBack === 0 ? {} : { repeated: last.heldBack });
  }
}
