import { pino, stdSerializers, stdTimeFunctions, type DestinationStream } from "pino";
import { redactText } from "../config/redact.ts";
import type { Config } from "../config/config.ts";
import { SluiceError } from "../errors/sluice-error.ts";

/** `event` is stable and meant for machines; the message beside it may be reworded. Values of rows never appear. */
export interface LogFields {
  readonly event: string;
  readonly err?: unknown;
  readonly [field: string]: unknown;
}

/** The slice of a logger that the program uses. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  fatal(fields: LogFields, message: string): void;
}

export interface LoggerOptions {
  readonly level: Config["logLevel"];
  readonly version: string;
  readonly member: string;
  /** Standard error unless given. */
  readonly destination?: DestinationStream;
}

/**
 * JSON lines on standard error. Written synchronously: there are few lines (none per entry), and the last one before
 * an exit is the one that matters.
 */
export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      level: options.level,
      base: { service: "sluice", version: options.version, member: options.member },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError },
    },
    options.destination ?? pino.destination({ dest: 2, sync: true }),
  );
}

function serializeError(error: unknown): unknown {
  if (error instanceof SluiceError) {
    return {
      code: error.code,
      message: redactText(error.message),
      ...error.place,
      remedy: error.remedy,
      ...(error.cause === undefined ? {} : { cause: redactText(causes(error.cause)) }),
    };
  }
  if (!(error instanceof Error)) return error;
  const plain = stdSerializers.err(error);
  return { type: plain.type, message: redactText(plain.message), stack: redactText(plain.stack) };
}

/**
 * Names of the causes, outermost first. Only a system or SQL state's code is added: a driver's message may quote a
 * row's values, and what is worth telling of it is already in the error that wraps it.
 */
function causes(cause: unknown): string {
  const names: string[] = [];
  for (let current = cause; current instanceof Error && names.length < 5; current = current.cause) {
    const code = "code" in current && typeof current.code === "string" ? ` ${current.code}` : "";
    names.push(`${current.name}${code}`);
  }
  return names.join(" < ");
}
