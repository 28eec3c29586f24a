import { scanShape } from "./envelope.ts";
import { FixedText } from "./fixed-text.ts";
import { members, skipValue } from "./json-scan.ts";

const braceClose = 0x7d;
const mostPatterns = 16;
/** Since a pattern last fitted. */
const mostMisses = 64;

/** An image and where it ends. */
export interface ScannedShape {
  readonly shape: number;
  readonly end: number;
}

/** The text before each value of one shape's images: braces, commas, names and colons. They are compared, and only the values are scanned. */
class ShapePattern {
  private readonly texts: readonly FixedText[];
  private readonly shape: number;

  constructor(image: Buffer, shape: number) {
    let from = 0;
    this.texts = members(image).map(({ valueStart, valueEnd }) => {
      const text = new FixedText(Buffer.from(image.subarray(from, valueStart)));
      from = valueEnd;
      return text;
    });
    this.shape = shape;
  }

  /** Undefined when the image is of another shape. */
  scan(bytes: Buffer, view: DataView, from: number): ScannedShape | undefined {
    const { texts } = this;
    let at = from;
    for (let index = 0; index < texts.length; index++) {
      const text = texts[index];
      if (text === undefined || !text.standsAt(bytes, view, at, bytes.length)) return undefined;
      at = skipValue(bytes, at + text.length);
    }
    if (texts.length === 0 || bytes[at] !== braceClose) return undefined;
    return { shape: this.shape, end: at + 1 };
  }
}

/** The patterns met last, the newest first. */
export class ShapePatterns {
  private readonly patterns: ShapePattern[] = [];
  private misses = 0;

  /** As `scanShape` does, which reads what no pattern fits. */
  scan(bytes: Buffer, view: DataView, from: number): ScannedShape {
    const { patterns } = this;
    for (let index = 0; index < patterns.length; index++) {
      const pattern = patterns[index];
      const found = pattern?.scan(bytes, view, from);
      if (pattern === undefined || found === undefined) continue;
      this.misses = 0;
      if (index > 0) {
        patterns.splice(index, 1);
        patterns.unshift(pattern);
      }
      return found;
    }
    const scanned = scanShape(bytes, from);
    this.learn(bytes.subarray(from, scanned.end), scanned.shape);
    return scanned;
  }

  /** Learning costs as much as several scans; where no two images are alike it is given up for the most part. */
  private learn(image: Buffer, shape: number): void {
    this.misses++;
    if (this.misses > mostMisses && this.misses % 1024 !== 0) return;
    this.patterns.unshift(new ShapePattern(image, shape));
    this.patterns.length = Math.min(this.patterns.length, mostPatterns);
  }
}
