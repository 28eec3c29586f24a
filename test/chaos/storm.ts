import { setTimeout as pause } from "node:timers/promises";
import { faultKinds } from "./fault-kinds.ts";
import type { PlannedFault } from "./plan.ts";
import type { Stage } from "./stage.ts";

const mostAtOnce = 5;

/** Beyond its longest duration and a server's restart. */
const longestMs = 90_000;

/** Lets the planned faults happen, several at a time where they do not touch the same thing. Resolves when all are over. */
export async function storm(
  stage: Stage,
  faults: readonly PlannedFault[],
  tell: (fault: PlannedFault, atOnce: number) => void,
): Promise<void> {
  const claimed = new Set<string>();
  const running = new Set<Promise<void>>();
  for (const fault of faults) {
    const kind = faultKinds[fault.kind];
    if (kind === undefined) throw new Error(`there is no fault ${fault.kind}`);
    await pause(fault.gapMs);
    const claims = kind.claims(fault);
    while (running.size >= mostAtOnce || claims.some((claim) => claimed.has(claim)))
      await Promise.race(running);
    for (const claim of claims) claimed.add(claim);
    tell(fault, running.size + 1);
    const done = inTime(kind.run(stage, fault, () => pause(fault.holdMs)))
      .catch((error: unknown) =>
        stage.findings.note(`the fault could not be undone: ${fault.kind}`, String(error)),
      )
      .finally(() => {
        for (const claim of claims) claimed.delete(claim);
        running.delete(done);
      });
    running.add(done);
  }
  await Promise.all(running);
}

/** A fault that hangs must not keep the run from telling of it. */
async function inTime(fault: Promise<void>): Promise<void> {
  const late = new AbortController();
  const hung = pause(longestMs, undefined, { signal: late.signal }).then(
    () => Promise.reject(new Error(`it took longer than ${longestMs} ms`)),
    () => undefined,
  );
  await Promise.race([fault, hung]).finally(() => late.abort());
}
