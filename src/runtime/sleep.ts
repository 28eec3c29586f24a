import { setTimeout as delay } from "node:timers/promises";

/** Waits, or returns early when the signal is aborted; never rejects. */
export async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(milliseconds, undefined, signal === undefined ? undefined : { signal });
  } catch {
    // Aborted: the caller looks at the signal.
  }
}
