import { Random } from "./random.ts";

/** One fault, decided before the run begins: the same seed plans the same faults. */
export interface PlannedFault {
  /** From 1. */
  readonly number: number;
  readonly kind: string;
  /** After the start of the one before it, in milliseconds. */
  readonly gapMs: number;
  /** How long it lasts; what is at once and over leaves it unused. */
  readonly holdMs: number;
  /** Index of the member concerned. */
  readonly member: number;
  /** Index of the shard concerned. */
  readonly shard: number;
  /** From 0 to 1: whatever else the kind leaves to chance. */
  readonly roll: number;
}

export interface PlanOptions {
  readonly seed: number;
  readonly faults: number;
  readonly minutes: number;
  readonly members: number;
  readonly shards: number;
  /** Shortest and longest duration of each kind, in milliseconds. */
  readonly kinds: Readonly<Record<string, readonly [number, number]>>;
}

/** Kinds are dealt like cards: each comes once before any comes again. */
export function planFaults(options: PlanOptions): PlannedFault[] {
  const random = new Random(options.seed);
  const meanGapMs = (options.minutes * 60_000) / options.faults;
  const names = Object.keys(options.kinds);
  let deck: string[] = [];
  return Array.from({ length: options.faults }, (_, index) => {
    if (deck.length === 0) deck = random.shuffled(names);
    const kind = deck.pop() ?? "";
    const [shortest, longest] = options.kinds[kind] ?? [0, 0];
    return {
      number: index + 1,
      kind,
      gapMs: Math.round(random.between(0, 2 * meanGapMs)),
      holdMs: Math.round(random.between(shortest, longest)),
      member: random.below(options.members),
      shard: random.below(options.shards),
      roll: random.next(),
    };
  });
}
