import type { ReplayWatcher } from "../pipeline/replay.ts";
import type { Logger } from "./logger.ts";

const quietMs = 10_000;

/** Tells a replay's story in the log. `shortcomings` names what could not be restored. */
export function logReplay(
  logger: Logger,
  shortcomings: (result: Parameters<ReplayWatcher["ended"]>[0]) => readonly string[],
  now: () => number = () => performance.now(),
): ReplayWatcher {
  let toldAt = now();
  const retries = new Map<string, number>();
  return {
    started: (range) => {
      toldAt = now();
      logger.info({ event: "replay_started", ...range }, `replaying ${range.stream} before going on live`);
    },
    advanced: (place) => {
      if (now() - toldAt < quietMs) return;
      toldAt = now();
      logger.info({ event: "replay_advanced", ...place }, `replaying ${place.stream}`);
    },
    gap: (stream, gap) =>
      logger.warn(
        { event: "replay_gap", stream, ...gap },
        `entries of ${stream} from ${gap.missing} on were removed before they were replayed`,
      ),
    retried: (error) => {
      const text = `${error.code} ${error.message}`;
      if (now() - (retries.get(text) ?? -quietMs) < quietMs) return;
      retries.set(text, now());
      logger.warn({ event: "retried", stage: "replay", err: error }, `trying again: ${error.message}`);
    },
    ended: (result) => {
      const { stream, state, from, to, entries, lastId, seconds, error } = result;
      const fields = { stream, from, to, entries, lastId, seconds };
      for (const text of shortcomings(result))
        logger.warn({ event: "replay_incomplete", stream }, `not restored: ${text}`);
      if (error !== null)
        logger.warn({ event: "replay_failed", ...fields, err: error }, `replay failed: ${error.message}`);
      else logger.info({ event: `replay_${state}`, ...fields }, `replay of ${stream}: ${state}`);
    },
  };
}
