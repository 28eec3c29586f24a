/** What must not be. Each is kept once, with how often it came up. */
export class Findings {
  private readonly counts = new Map<string, { count: number; readonly detail: string }>();
  private readonly started = performance.now();

  note(what: string, detail: string): void {
    const known = this.counts.get(what);
    if (known !== undefined) {
      known.count++;
      return;
    }
    const seconds = Math.round((performance.now() - this.started) / 1000);
    this.counts.set(what, { count: 1, detail: `${detail} (${seconds} s after the start)` });
    console.log(`  ✗ ${what}: ${detail}`);
  }

  get any(): boolean {
    return this.counts.size > 0;
  }

  list(): string[] {
    return [...this.counts].map(
      ([what, { count, detail }]) => `${what}${count > 1 ? ` (${count} times)` : ""}: ${detail}`,
    );
  }
}
