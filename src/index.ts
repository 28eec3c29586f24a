/** Sluice as a library: what the command line is made of. */
export type { Config } from "./config/config.ts";
export { loadConfig } from "./config/load.ts";
export { errorManuals, type ErrorCode } from "./errors/codes.ts";
export { SluiceError, type ErrorPlace } from "./errors/sluice-error.ts";
export type {
  AppliedBatch,
  AppliedTable,
  ProgressListener,
  ShardState,
  SkipReason,
} from "./observe/progress.ts";
export { buildPipeline } from "./pipeline/build.ts";
export type { Pipeline, PipelineHealth } from "./pipeline/pipeline.ts";
export type { MemberStatus, ShardStatus, StatusReport } from "./pipeline/status.ts";
