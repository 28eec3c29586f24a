import type { ErrorCode } from "../errors/codes.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { inexactMark } from "../decode/types/exact.ts";

/** What to do about a failed statement; `isolate` means that one of the batch's changes is at fault. */
export type Reaction = "retry" | "isolate";

export interface Classified {
  readonly reaction: Reaction;
  readonly error: SluiceError;
}

/** SQLSTATE (or its class) → code and reaction. What is not listed stops the shard, at the change that brings it. */
const states: Readonly<Record<string, readonly [ErrorCode, Reaction]>> = {
  "08": ["DATABASE_UNAVAILABLE", "retry"],
  "22": ["VALUE_INVALID", "isolate"],
  "23": ["VALUE_INVALID", "isolate"],
  "23505": ["UNIQUE_VIOLATED", "isolate"],
  "23P01": ["UNIQUE_VIOLATED", "isolate"],
  // Read only: a standby, or for maintenance.
  "25006": ["DATABASE_UNAVAILABLE", "retry"],
  "25P03": ["DATABASE_BUSY", "retry"],
  // Prepared statements that are gone: a pooler gave the connection another session.
  "26000": ["DATABASE_UNAVAILABLE", "retry"],
  // Passwords are changed and databases renamed while sluice runs.
  "28": ["DATABASE_REFUSED", "retry"],
  "3D000": ["DATABASE_REFUSED", "retry"],
  "40001": ["DATABASE_BUSY", "retry"],
  "40P01": ["DATABASE_BUSY", "retry"],
  "42P01": ["TABLE_MISSING", "isolate"],
  "42703": ["COLUMN_MISSING", "isolate"],
  "42501": ["PERMISSION_DENIED", "isolate"],
  "42P10": ["KEY_MISMATCH", "isolate"],
  "53": ["DATABASE_BUSY", "retry"],
  "54": ["VALUE_INVALID", "isolate"],
  "55P03": ["DATABASE_BUSY", "retry"],
  // A statement over its time limit may be one too large; halves may pass.
  "57014": ["DATABASE_BUSY", "isolate"],
  "57P": ["DATABASE_UNAVAILABLE", "retry"],
  "58": ["DATABASE_BUSY", "retry"],
};

const databaseOption = "SLUICE_DATABASE_URL";

interface DatabaseError {
  readonly code: string;
  readonly message: string;
  readonly column?: string;
  readonly constraint?: string;
}

/**
 * Maps any failure of the read database once. PostgreSQL's message is kept as the cause only, since it may quote the row's
 * values; the text says which rule was broken.
 */
export function classify(error: unknown): Classified {
  if (error instanceof SluiceError) return { reaction: reactionOf(error), error };
  if (!isDatabaseError(error)) return isOfConnection(error) ? unreachable(error) : unexpected(error);
  const found = states[error.code] ?? states[error.code.slice(0, 3)] ?? states[error.code.slice(0, 2)];
  const [code, reaction] = found ?? (["INTERNAL", "isolate"] as const);
  const constraint = error.constraint === undefined ? "" : `, constraint ${error.constraint}`;
  const refused = code === "DATABASE_REFUSED" ? "the connection" : "the batch";
  const message = `PostgreSQL refused ${refused}: SQLSTATE ${error.code}${constraint}${safeMessage(error)}`;
  const place = {
    ...(error.column === undefined ? {} : { column: error.column }),
    ...(code === "DATABASE_REFUSED" ? { option: databaseOption } : {}),
  };
  return { reaction, error: new SluiceError(code, message, { place, cause: error }) };
}

const inexact = new RegExp(`"(${inexactMark} [\\w ,()"]+)"$`);
const harmless =
  /^(invalid input syntax for type [\w ]+|[\w ]+ (?:out of range|overflow)|value too long for type [\w ()]+)/;

/** Messages of data errors quote values, the others name objects and states. */
function safeMessage(error: DatabaseError): string {
  const quotesValues = error.code.startsWith("22") || error.code.startsWith("23");
  if (!quotesValues) return ` (${error.message})`;
  const [, rule] = inexact.exec(error.message) ?? harmless.exec(error.message) ?? [];
  return rule === undefined ? "" : ` (${rule})`;
}

function reactionOf(error: SluiceError): Reaction {
  return error.policy === "retry" ? "retry" : "isolate";
}

function unreachable(error: unknown): Classified {
  const message = error instanceof Error ? error.message : String(error);
  return {
    reaction: "retry",
    error: new SluiceError("DATABASE_UNAVAILABLE", `the read database is not available: ${message}`, {
      place: { option: databaseOption },
      cause: error,
    }),
  };
}

/** A mistake in the program: trying again would only hide it. */
function unexpected(error: unknown): Classified {
  const name = error instanceof Error ? error.name : typeof error;
  const message = error instanceof Error ? error.message : String(error);
  return {
    reaction: "isolate",
    error: new SluiceError("INTERNAL", `${name}: ${message}`, { cause: error }),
  };
}

/** What `pg` and `pg-pool` 8 say of a connection that is lost, not to be had, or garbled; their errors have neither code nor class. */
const connectionTexts = new RegExp(
  "^(Connection terminated|Query read timeout|timeout expired|timeout exceeded|Client has encountered a connection error|" +
    "Client was closed|Cannot use a pool after calling end|The server does not support SSL|There was an error establishing|" +
    "Received unexpected|received invalid response|Unknown authenticationOk|SASL: )",
);

/** Codes of Node's own that tell of a socket or of TLS; the others blame an argument. */
const nodeCodes = /^ERR_(SOCKET|STREAM|SSL|TLS|OSSL)/;

/**
 * Whether the connection failed rather than the program: the operating system's codes (ECONNRESET), those of TLS
 * (CERT_HAS_EXPIRED), Node's for sockets, and the driver's texts.
 */
function isOfConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (connectionTexts.test(error.message)) return true;
  if ("code" in error && typeof error.code === "string")
    return !error.code.startsWith("ERR_") || nodeCodes.test(error.code);
  if (error instanceof AggregateError) return error.errors.some(isOfConnection);
  return error.cause !== undefined && isOfConnection(error.cause);
}

function isDatabaseError(error: unknown): error is DatabaseError {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    // No class of SQLSTATE begins with E, but EPIPE and others of the operating system do.
    /^(?!E)[0-9A-Z]{5}$/.test(error.code)
  );
}
