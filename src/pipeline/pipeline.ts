import type { SluiceError } from "../errors/sluice-error.ts";

/** One running member, as the command line and the HTTP server see it. */
export interface Pipeline {
  /** Resolves once the member is registered. Rejects with a `fatal` SluiceError when it never can be. */
  start(): Promise<void>;
  /** Finishes the batches at hand, gives back what was read ahead, deregisters and closes; rejects past the deadline. */
  drain(): Promise<void>;
  /** Resolves when the member must end although nobody asked it to. */
  readonly failed: Promise<SluiceError>;
  health(): PipelineHealth;
}

export interface PipelineHealth {
  /** The member is registered. */
  readonly registered: boolean;
  readonly draining: boolean;
  /** Monotonic age of the supervisor's last turn, in milliseconds. */
  readonly tickAgeMs: number;
  readonly redisReachable: boolean;
  readonly databaseReachable: boolean;
}
