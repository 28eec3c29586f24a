import { redactText } from "../config/redact.ts";
import type { SluiceError } from "../errors/sluice-error.ts";
import type { ReplayWatcher } from "../pipeline/replay.ts";
import { counted } from "./replay-text.ts";

export interface ReplayProgressOptions {
  readonly write: (text: string) => void;
  /** Columns of the terminal on which one line is redrawn; undefined: no terminal, plain lines. */
  readonly columns: number | undefined;
  /** Monotonic, in milliseconds. */
  readonly now: () => number;
}

export interface ReplayProgress extends ReplayWatcher {
  /** Leaves the terminal's line free for what follows. */
  clear(): void;
}

const redrawMs = 100;
const plainMs = 5_000;
const clearLine = "\r\u001b[K";

/** Shows how a replay goes: stream, entry id, entries per second, and how far it is by the time in the ids. */
export function showReplay({ write, columns, now }: ReplayProgressOptions): ReplayProgress {
  let startedAt = now();
  let shownAt = now();
  let drawn = false;
  const told = new Map<string, number>();
  const clear = (): void => {
    if (drawn) write(clearLine);
    drawn = false;
  };
  const line = (text: string): void => {
    clear();
    write(`${text}\n`);
  };
  const retried = (error: SluiceError): void => {
    const text = `trying again: ${error.code}: ${redactText(error.message)}`;
    const at = told.get(text);
    if (at !== undefined && now() - at < plainMs) return;
    told.set(text, now());
    line(text);
  };
  return {
    clear,
    retried,
    started: ({ stream, from, to }) => {
      startedAt = now();
      shownAt = columns === undefined ? startedAt : startedAt - redrawMs;
      line(`${stream}: from ${from} to ${to}`);
    },
    advanced: ({ stream, id, entries, fraction }) => {
      const at = now();
      if (at - shownAt < (columns === undefined ? plainMs : redrawMs)) return;
      shownAt = at;
      const rate = Math.round(entries / Math.max((at - startedAt) / 1000, 0.001));
      const text = `${stream}  ${id}  ${Math.floor(fraction * 100)} %  ${entries} entries  ${rate}/s`;
      if (columns === undefined) return line(text);
      write(`${clearLine}${text.slice(0, columns - 1)}`);
      drawn = true;
    },
    gap: (stream, { missing, firstLeft }) =>
      line(
        `${stream}: entries from ${missing} on were removed; going on at ${firstLeft ?? "the range's end"}`,
      ),
    ended: ({ stream, state, entries, seconds }) =>
      line(`${stream}: ${state}, ${counted(entries, "entry", "entries")} in ${seconds.toFixed(1)} s`),
  };
}
