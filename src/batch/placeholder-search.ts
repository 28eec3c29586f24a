import type { Change } from "../change/change.ts";

interface Placeholders {
  readonly placeholders: readonly Buffer[];
}

/**
 * Whether images of one read may leave out large values. Their placeholders are searched for once in all that was read, since most reads
 * have none: looking into each image by itself costs ten times as much.
 */
export class PlaceholderSearch {
  private readonly changes: readonly Change[];
  /** Of which all are; undefined: they are not of one read. */
  private read: { readonly bytes: Buffer | undefined } | undefined;
  private readonly answers = new Map<Placeholders, boolean>();
  private readonly found = new Map<string, boolean>();

  /** Of one read, in its order. */
  constructor(changes: readonly Change[]) {
    this.changes = changes;
  }

  /** False: no image has one of the plan's placeholders. */
  mayHold(plan: Placeholders): boolean {
    let answer = this.answers.get(plan);
    if (answer === undefined)
      this.answers.set(plan, (answer = plan.placeholders.some((each) => this.has(each))));
    return answer;
  }

  private has(placeholder: Buffer): boolean {
    const { bytes } = (this.read ??= { bytes: readOf(this.changes) });
    if (bytes === undefined) return true;
    const text = placeholder.toString("latin1");
    let found = this.found.get(text);
    // Without its first byte: that is a quote or a bracket, and the search would stop at each of them.
    if (found === undefined) this.found.set(text, (found = bytes.includes(placeholder.subarray(1))));
    return found;
  }
}

function readOf(changes: readonly Change[]): Buffer | undefined {
  const [first, last] = [changes.find(hasImage), changes.findLast(hasImage)];
  if (first === undefined || last === undefined) return nothing;
  const isOne = changes.every(({ bytes }) => bytes === changes[0]?.bytes);
  return isOne ? first.bytes.subarray(first.imageStart, last.imageEnd) : undefined;
}

const nothing = Buffer.alloc(0);

function hasImage({ imageStart }: Change): boolean {
  return imageStart >= 0;
}
