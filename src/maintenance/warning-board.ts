import type { ProgressListener, Warning } from "../observe/progress.ts";

/** A warning has ended when this many rounds did not see it: one that comes and goes would else fill the log. */
const roundsToEnd = 3;

/** Which warnings hold, told once when they begin and once when they end. */
export class WarningBoard {
  private readonly progress: Pick<ProgressListener, "warningBegan" | "warningEnded">;
  private readonly active = new Map<string, { readonly warning: Warning; readonly unseen: number }>();

  constructor(progress: Pick<ProgressListener, "warningBegan" | "warningEnded">) {
    this.progress = progress;
  }

  update(warnings: readonly Warning[]): void {
    const seen = new Set(warnings.map(keyOf));
    for (const [key, { warning, unseen }] of this.active) {
      if (seen.has(key)) continue;
      if (unseen + 1 < roundsToEnd) {
        this.active.set(key, { warning, unseen: unseen + 1 });
      } else {
        this.active.delete(key);
        this.progress.warningEnded(warning);
      }
    }
    for (const warning of warnings) {
      if (!this.active.has(keyOf(warning))) this.progress.warningBegan(warning);
      this.active.set(keyOf(warning), { warning, unseen: 0 });
    }
  }
}

/** What a second stream has met is told although the first one's is known. */
function keyOf({ code, stream }: Warning): string {
  return `${code} ${stream ?? ""}`;
}
