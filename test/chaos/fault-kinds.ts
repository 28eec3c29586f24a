import { databaseFaults } from "./database-faults.ts";
import { linkFaults } from "./link-faults.ts";
import { processFaults } from "./process-faults.ts";
import type { PlannedFault } from "./plan.ts";
import { redisFaults } from "./redis-faults.ts";
import type { Stage } from "./stage.ts";

export interface FaultKind {
  /** Shortest and longest duration, in milliseconds. */
  readonly holdMs: readonly [number, number];
  /** What no other fault may touch meanwhile. */
  readonly claims: (fault: PlannedFault) => readonly string[];
  /** Does it, waits as long as it is to last, and undoes it. */
  readonly run: (stage: Stage, fault: PlannedFault, hold: () => Promise<void>) => Promise<void>;
}

export const faultKinds: Readonly<Record<string, FaultKind>> = {
  ...processFaults,
  ...linkFaults,
  ...redisFaults,
  ...databaseFaults,
};
