import { FixedText } from "./fixed-text.ts";
import { type Program } from "./kernel/memory.ts";
import { textsProgram } from "./kernel/patterns.ts";
import { TextTree } from "./text-tree.ts";

/** Beyond it all is learned anew: tables that changed or went leave theirs behind. */
const mostPatterns = 2_000;
/** Since a pattern last fitted. */
const mostMisses = 64;

/** One text of a pattern, and, behind the last text, what was learned. */
export class PatternStep<Found> {
  readonly text: FixedText;
  readonly next = new TextTree<PatternStep<Found>>();
  found: Found | undefined = undefined;
  /** From here to where patterns part, as of the tree's version. */
  run: Run<Found> | undefined = undefined;

  constructor(text: FixedText) {
    this.text = text;
  }
}

/** Steps of which each has only one behind it. */
interface Run<Found> {
  readonly version: number;
  /** Undefined: too long for the kernel. */
  readonly program: Program | undefined;
  readonly last: PatternStep<Found>;
}

/**
 * Patterns of bytes, learned from what was met: fixed texts with values in between. Those that begin alike share their beginning, so that
 * hundreds of tables cost hardly more than one. Whoever reads goes from step to step and passes over the values by itself.
 */
export class PatternTree<Found> {
  private root = new TextTree<PatternStep<Found>>();
  /** Those of all patterns, by themselves: most stand in many, and one object for each stays in the processor's cache. */
  private texts = new Map<string, FixedText>();
  private learned = 0;
  private misses = 0;
  /** Rises when patterns are added. */
  private version = 0;

  /** Where each pattern begins. */
  get first(): TextTree<PatternStep<Found>> {
    return this.root;
  }

  /** The steps from this one on, for the kernel. */
  runFrom(step: PatternStep<Found>): Run<Found> {
    const { run } = step;
    if (run?.version === this.version) return run;
    const texts: Buffer[] = [];
    let last = step;
    for (let next: PatternStep<Found> | undefined = step; next !== undefined; next = next.next.single) {
      texts.push(next.text.bytes);
      last = next;
      if (next.found !== undefined) break;
    }
    return (step.run = { version: this.version, program: textsProgram(texts), last });
  }

  /** A pattern fitted. */
  hit(): void {
    this.misses = 0;
  }

  /** No pattern fitted. Learning costs as much as several scans; false where it is given up for the most part, since no two are alike. */
  mayLearn(): boolean {
    this.misses++;
    return this.misses <= mostMisses || this.misses % 1024 === 0;
  }

  learn(texts: readonly Buffer[], found: Found): void {
    if (this.learned++ === mostPatterns) this.forget();
    this.version++;
    let tree = this.root;
    let last: PatternStep<Found> | undefined;
    for (const bytes of texts) {
      const text = this.textOf(bytes);
      last = tree.get(text, () => new PatternStep(text));
      tree = last.next;
    }
    if (last !== undefined) last.found = found;
  }

  private textOf(bytes: Buffer): FixedText {
    const key = bytes.toString("latin1");
    let text = this.texts.get(key);
    if (text === undefined) this.texts.set(key, (text = new FixedText(bytes)));
    return text;
  }

  private forget(): void {
    this.root = new TextTree();
    this.texts = new Map();
    this.learned = 1;
  }
}
