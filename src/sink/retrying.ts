import type { SluiceError } from "../errors/sluice-error.ts";
import { BackOff } from "../runtime/back-off.ts";
import { sleep } from "../runtime/sleep.ts";
import { classify } from "./classify.ts";

export interface Patience {
  /** Longest pause between two tries, in milliseconds. */
  readonly retryMaxMs: number;
  /** Aborted when there is to be no further try. */
  readonly stopping: AbortSignal;
  readonly retried: (error: SluiceError) => void;
}

/** Somebody asked to stop; no failure. */
export class Interrupted extends Error {}

/**
 * Tries until it is done or fails for good: what passes by itself (a lost connection, a deadlock) is tried again with back-off.
 * Throws Interrupted when it is to stop in between.
 */
export async function retrying<T>(attempt: () => Promise<T>, patience: Patience): Promise<T> {
  const backOff = new BackOff({ firstMs: 50, maxMs: patience.retryMaxMs });
  for (;;) {
    try {
      return await attempt();
    } catch (failure) {
      const { reaction, error } = classify(failure);
      if (reaction !== "retry") throw failure;
      if (patience.stopping.aborted) throw new Interrupted("interrupted", { cause: error });
      patience.retried(error);
      await sleep(backOff.next(), patience.stopping);
    }
  }
}
