import { scanShape } from "./envelope.ts";
import { viewOf } from "./fixed-text.ts";
import { addressOf } from "./kernel/memory.ts";
import { passTexts } from "./kernel/patterns.ts";
import { members, skipValue } from "./json-scan.ts";
import { PatternTree } from "./pattern-tree.ts";

/**
 * The shapes of objects that were met: the text before each value, braces, commas, names and colons, is compared, and only the values are
 * scanned. One is used for many objects: what `scan` found stands in it until the next.
 */
export class ShapePatterns {
  /** As `scanShape` gives them. */
  shape = 0;
  end = 0;
  private readonly patterns = new PatternTree<number>();

  /** As `scanShape` does, which reads what no pattern fits. */
  scan(bytes: Buffer, from: number): void {
    if (this.fits(bytes, from)) return;
    const { shape, end } = scanShape(bytes, from);
    this.shape = shape;
    this.end = end;
    if (this.patterns.mayLearn()) this.patterns.learn(textsAround(bytes.subarray(from, end)), shape);
  }

  private fits(bytes: Buffer, from: number): boolean {
    const { patterns } = this;
    const view = viewOf(bytes);
    const address = addressOf(bytes);
    let at = from;
    let step = patterns.first.candidate(bytes, at);
    while (step !== undefined) {
      const run = address < 0 ? undefined : patterns.runFrom(step);
      let last = step;
      if (run?.program !== undefined) {
        at = passTexts(address, bytes, at, run.program);
        if (at < 0) return false;
        last = run.last;
      } else if (step.text.standsAt(bytes, view, at, bytes.length)) at += step.text.length;
      else return false;
      if (last.found !== undefined) {
        this.shape = last.found;
        this.end = at;
        patterns.hit();
        return true;
      }
      at = skipValue(bytes, at);
      step = last.next.candidate(bytes, at);
    }
    return false;
  }
}

/** Of the object that fills the bytes: what stands before, between and behind its values. */
export function textsAround(object: Buffer): Buffer[] {
  const found = members(object);
  const starts = [0, ...found.map(({ valueEnd }) => valueEnd)];
  const ends = [...found.map(({ valueStart }) => valueStart), object.length];
  return starts.map((start, index) => Buffer.from(object.subarray(start, ends[index])));
}
