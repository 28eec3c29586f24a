import type { Config } from "../config/config.ts";
import { replay, type ReplayResult } from "../pipeline/replay.ts";
import { printError, type ConsoleIo } from "./console-io.ts";
import { exitCode, exitCodeOf } from "./exit-code.ts";
import { selectionOf, type ReplayFlags } from "./replay-arguments.ts";
import { showReplay } from "./replay-progress.ts";
import { continuation, remarks, replayJson, replayTable, shortcomings } from "./replay-text.ts";
import { userName } from "./user-name.ts";

export interface ReplayCommand extends ReplayFlags {
  readonly dryRun: boolean;
  readonly acceptGap: boolean;
  readonly json: boolean;
}

/** Of a terminal that does not tell. */
const usualColumns = 80;

/**
 * Applies again what the streams still hold. Exits 3 when something that was asked for could not be restored, 130 when it was
 * interrupted. `stopping`: aborted by Ctrl-C and SIGTERM unless given.
 */
export async function replayCommand(
  config: Config,
  io: ConsoleIo,
  command: ReplayCommand,
  stopping?: AbortSignal,
): Promise<number> {
  const select = selectionOf(command);
  const columns = process.stderr.isTTY ? process.stderr.columns || usualColumns : undefined;
  const watcher = showReplay({ write: (text) => io.err(text), columns, now: () => performance.now() });
  using signals = interruption();
  const onGap = command.acceptGap ? "accept" : "refuse";
  const result = await replay({
    ...{ config, select, watcher, tables: command.tables, dryRun: command.dryRun },
    gaps: { atStart: onGap, later: onGap },
    startedBy: userName(),
    stopping: stopping ?? signals.signal,
  }).finally(() => watcher.clear());
  io.out(command.json ? replayJson(result) : replayTable(result));
  return conclude(io, result);
}

function conclude(io: ConsoleIo, result: ReplayResult): number {
  for (const each of remarks(result)) io.err(`note: ${each}\n`);
  const missing = result.streams.flatMap(shortcomings);
  for (const each of missing) io.err(`not restored: ${each}\n`);
  for (const each of result.streams) {
    const rest = continuation(each);
    if (rest !== undefined) io.err(`${rest}\n`);
  }
  const error = result.streams.find((each) => each.error !== null)?.error ?? null;
  if (error !== null) {
    printError(io, error);
    return exitCodeOf(error);
  }
  if (result.state === "interrupted") return exitCode.interrupted;
  return missing.length === 0 ? exitCode.done : exitCode.problems;
}

/** One Ctrl-C may come twice: from the terminal, and from npm that passes it on. A later one ends the process at once. */
const sameKeyPressMs = 100;

function interruption(): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const off = (): void => void process.off("SIGINT", stop).off("SIGTERM", stop);
  const stop = (): void => {
    if (controller.signal.aborted) return;
    controller.abort();
    setTimeout(off, sameKeyPressMs).unref();
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  return { signal: controller.signal, [Symbol.dispose]: off };
}
