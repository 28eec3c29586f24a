import { tableFilter } from "../catalog/table-filter.ts";
import { compareEntryIds } from "../change/entry-id.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { ReplayRange } from "../pipeline/replay.ts";
import { parsePlace, placeForms } from "../source/entry-range.ts";

/** The command's flags, as they were written. */
export interface ReplayFlags {
  readonly stream: string | undefined;
  readonly allStreams: boolean;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly tables: readonly string[];
}

/** Which ranges are meant, once it is known which streams there are. */
export type Selection = (streams: readonly string[]) => readonly ReplayRange[];

/** Throws CONFIG_INVALID, here for what cannot be read, later for a stream that is not there. */
export function selectionOf(flags: ReplayFlags): Selection {
  const { stream, allStreams } = flags;
  if (allStreams === (stream !== undefined))
    throw invalid("--stream", "name one stream with --stream, or take every one with --all-streams");
  if (flags.from === undefined) throw invalid("--from", `--from is missing: expected ${placeForms}`);
  const from = place("--from", flags.from, "first");
  const to = flags.to === undefined ? undefined : place("--to", flags.to, "last");
  if (to !== undefined && compareEntryIds(to, from) < 0)
    throw invalid("--to", `the range ends (${to}) before it begins (${from})`);
  checkPatterns(flags.tables);
  return (streams) => {
    if (stream === undefined) return streams.map((each) => ({ stream: each, from, to }));
    requireStream("--stream", stream, streams);
    return [{ stream, from, to }];
  };
}

/** `cdc.3=<id>,cdc.4=<id>`, as `run --replay-from` takes it. Throws CONFIG_INVALID. */
export function replayFromSelection(text: string): Selection {
  const option = "--replay-from";
  const ranges = text.split(",").map((part): ReplayRange => {
    const equals = part.lastIndexOf("=");
    if (equals < 1) throw invalid(option, `"${part}" is not <stream>=<id>`);
    const stream = part.slice(0, equals).trim();
    return { stream, from: place(option, part.slice(equals + 1).trim(), "first"), to: undefined };
  });
  const names = ranges.map(({ stream }) => stream);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalid(option, `${twice} is there twice`);
  return (streams) => {
    for (const name of names) requireStream(option, name, streams);
    return ranges;
  };
}

function place(option: string, text: string, edge: "first" | "last"): string {
  const id = parsePlace(text, edge);
  if (id === undefined) throw invalid(option, `${option} "${text}": expected ${placeForms}`);
  return id;
}

function requireStream(option: string, stream: string, streams: readonly string[]): void {
  if (streams.includes(stream)) return;
  throw invalid(option, `there is no stream ${stream}; there are ${streams.join(", ")}`);
}

function checkPatterns(patterns: readonly string[]): void {
  try {
    tableFilter(patterns);
  } catch (error) {
    throw invalid("--table", error instanceof Error ? error.message : String(error));
  }
}

function invalid(option: string, message: string): SluiceError {
  return new SluiceError("CONFIG_INVALID", message, {
    place: { option },
    remedy: "See `sluice replay --help`; `sluice status` shows the streams.",
  });
}
