import { BackOff } from "../runtime/back-off.ts";
import { sleep } from "../runtime/sleep.ts";
import { classify } from "../sink/classify.ts";
import type { SluiceError } from "../errors/sluice-error.ts";
import type { Pipeline } from "./pipeline.ts";

export interface ReplayFirst {
  readonly pipeline: Pipeline;
  /** Rejects when it cannot begin. */
  readonly replay: (stopping: AbortSignal) => Promise<unknown>;
  readonly retryMaxMs: number;
  readonly retried: (error: SluiceError) => void;
}

/**
 * A pipeline that replays before it registers and takes shards, and then goes on live. It waits for the stores as the start itself
 * does; what cannot be begun at all fails the start.
 */
export function replayingFirst({ pipeline, replay, retryMaxMs, retried }: ReplayFirst): Pipeline {
  const stopping = new AbortController();
  let replaying: Promise<void> | undefined;
  let done = false;

  const untilReplayed = async (): Promise<void> => {
    const backOff = new BackOff({ firstMs: 100, maxMs: retryMaxMs });
    while (!stopping.signal.aborted) {
      try {
        await replay(stopping.signal);
        return;
      } catch (failure) {
        const { error } = classify(failure);
        if (error.policy !== "retry") throw error;
        retried(error);
        await sleep(backOff.next(), stopping.signal);
      }
    }
  };
  return {
    start: async () => {
      replaying = untilReplayed().finally(() => (done = true));
      await replaying;
      if (!stopping.signal.aborted) await pipeline.start();
    },
    drain: async () => {
      stopping.abort();
      await replaying?.catch(() => undefined);
      await pipeline.drain();
    },
    failed: pipeline.failed,
    // While it replays the supervisor does not turn, and is not stuck.
    health: () => (done ? pipeline.health() : { ...pipeline.health(), tickAgeMs: 0 }),
  };
}
