import type { SluiceError } from "../errors/sluice-error.ts";

/** The process's exit codes; documented, never renumbered. */
export const exitCode = {
  done: 0,
  failure: 1,
  usage: 2,
  problems: 3,
  schema: 4,
  lease: 5,
  interrupted: 130,
} as const;

export function exitCodeOf(error: SluiceError): number {
  switch (error.code) {
    case "CONFIG_INVALID":
    case "STREAMS_MIXED":
      return exitCode.usage;
    case "REPLAY_TRIMMED":
      return exitCode.problems;
    case "SCHEMA_MISSING":
    case "SCHEMA_TOO_NEW":
      return exitCode.schema;
    case "MEMBER_REPLACED":
      return exitCode.lease;
    default:
      return exitCode.failure;
  }
}
