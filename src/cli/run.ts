import type { Config } from "../config/config.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { combineListeners } from "../observe/combine-listeners.ts";
import { startHttpServer } from "../observe/http-server.ts";
import { logProgress } from "../observe/log-progress.ts";
import { createLogger, type Logger } from "../observe/logger.ts";
import { createMetrics } from "../observe/metrics.ts";
import { logReplay } from "../observe/log-replay.ts";
import { buildPipeline } from "../pipeline/build.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { replayingFirst } from "../pipeline/replay-first.ts";
import { replay } from "../pipeline/replay.ts";
import { createStatusSource } from "../pipeline/status.ts";
import { limitYoungGeneration } from "../runtime/young-generation.ts";
import { exitCode, exitCodeOf } from "./exit-code.ts";
import { replayFromSelection, type Selection } from "./replay-arguments.ts";
import { shortcomings } from "./replay-text.ts";

const youngGenerationBytes = 48 * 2 ** 20;

/**
 * Runs a member until it is told to stop or must. Resolves with the exit code. `replayFrom`: what it applies again before it goes
 * live, as `--replay-from` gives it.
 */
export async function run(config: Config, version: string, replayFrom?: string): Promise<number> {
  const selection = replayFrom === undefined ? undefined : replayFromSelection(replayFrom);
  limitYoungGeneration(youngGenerationBytes);
  const logger = createLogger({ level: config.logLevel, version, member: config.member });
  await using status = disposable(createStatusSource(config));
  // The pipeline tells the metrics, and the metrics ask the pipeline at a scrape, when both are there.
  const metrics = createMetrics({
    version,
    member: config.member,
    streams: config.streams,
    queueLimitBytes: config.batchBytes * (config.streams.length + config.databaseConnections),
    status: () => status.read(),
    health: () => pipeline.health(),
  });
  const progress = combineListeners(metrics.listener, logProgress(logger));
  const live = buildPipeline(config, { progress, version });
  const pipeline = selection === undefined ? live : withReplay(config, live, logger, selection);
  // Before start, which may wait for a store, so that /livez answers meanwhile.
  await using http = disposable(
    await startHttpServer(config.httpAddress, {
      health: () => pipeline.health(),
      status: () => status.read(),
      metrics: () => metrics.text(),
    }),
  );
  logger.info(
    { event: "starting", streams: config.streams, pipeline: config.pipeline, http: http.address },
    `starting; status at http://${http.address}/status`,
  );
  using signals = listenForSignals();
  return await untilStopped({ pipeline, signals, logger, drainDeadlineMs: config.drainDeadlineMs });
}

/** What cannot be restored is a warning: the service starts all the same. A range whose beginning is gone keeps it from starting. */
export function withReplay(config: Config, live: Pipeline, logger: Logger, select: Selection): Pipeline {
  const watcher = logReplay(logger, shortcomings);
  const options = { config, select, tables: [], dryRun: false, startedBy: config.member, watcher };
  const gaps = { atStart: "refuse", later: "accept" } as const;
  return replayingFirst({
    pipeline: live,
    replay: (stopping) => replay({ ...options, gaps, stopping }),
    retryMaxMs: config.retryMaxMs,
    retried: (error) => watcher.retried(error),
  });
}

export interface Signals extends Disposable {
  /** The first SIGTERM or SIGINT. */
  readonly stop: Promise<NodeJS.Signals>;
  /** A SIGINT after a signal. */
  readonly interrupt: Promise<"interrupt">;
}

export interface Running {
  readonly pipeline: Pipeline;
  readonly signals: Signals;
  readonly logger: Logger;
  readonly drainDeadlineMs: number;
}

/** From start to the exit code. */
export async function untilStopped(running: Running): Promise<number> {
  const { pipeline, signals, logger } = running;
  const startFailure = new Promise<SluiceError>((resolve) => {
    pipeline.start().then(
      () => {
        // A drain ends a start that still waited for a store.
        if (pipeline.health().registered) logger.info({ event: "registered" }, "registered; ready");
      },
      (error: unknown) => resolve(asSluiceError(error)),
    );
  });
  const reason = await Promise.race([
    signals.stop,
    startFailure.then(failedAtStart),
    pipeline.failed.then(failedLater),
  ]);
  if (typeof reason === "string") {
    logger.info({ event: "draining", signal: reason }, `${reason}: draining`);
    return await drained(running);
  }
  logger.fatal({ event: "failed", err: reason.error }, reason.error.message);
  // A member that never registered has nothing to give back.
  if (reason.registered) await drained(running);
  return exitCodeOf(reason.error);
}

interface Failure {
  readonly error: SluiceError;
  readonly registered: boolean;
}

function failedAtStart(error: SluiceError): Failure {
  return { error, registered: false };
}

function failedLater(error: SluiceError): Failure {
  return { error, registered: true };
}

/** The pipeline keeps its deadline by itself; the timer here is for one that hangs. */
async function drained({ pipeline, signals, logger, drainDeadlineMs }: Running): Promise<number> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new SluiceError("INTERNAL", `draining did not end within ${drainDeadlineMs} ms`);
    timer = setTimeout(() => reject(error), drainDeadlineMs + 1_000);
  });
  try {
    const end = await Promise.race([pipeline.drain(), signals.interrupt, late]);
    if (end === "interrupt") return exitCode.interrupted;
    logger.info({ event: "drained" }, "drained");
    return exitCode.done;
  } catch (error) {
    logger.error(
      { event: "drain_failed", err: error },
      "the drain did not succeed; leases run out by themselves",
    );
    return exitCode.failure;
  } finally {
    clearTimeout(timer);
  }
}

/** One Ctrl-C may come twice: from the terminal, and from npm that passes it on. */
const sameKeyPressMs = 100;

function listenForSignals(): Signals {
  const stop = Promise.withResolvers<NodeJS.Signals>();
  const interrupt = Promise.withResolvers<"interrupt">();
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    const now = performance.now();
    if (firstAt !== undefined && signal === "SIGINT" && now - firstAt > sameKeyPressMs)
      interrupt.resolve("interrupt");
    firstAt ??= now;
    stop.resolve(signal);
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  return {
    stop: stop.promise,
    interrupt: interrupt.promise,
    [Symbol.dispose]: () => process.off("SIGTERM", onSignal).off("SIGINT", onSignal),
  };
}

function disposable<T extends { close(): Promise<void> }>(resource: T): T & AsyncDisposable {
  return Object.assign(resource, { [Symbol.asyncDispose]: () => resource.close() });
}

function asSluiceError(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  return new SluiceError("INTERNAL", error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
