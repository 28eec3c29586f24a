/** A member that wants shards: alive, not leaving, and able to reach Redis. */
export interface BalancedMember {
  readonly name: string;
}

export interface BalancedShard {
  readonly stream: string;
  /** Undefined: nobody's lease is valid. */
  readonly owner: string | undefined;
}

export interface BalanceView {
  /** This member's name. */
  readonly me: string;
  readonly members: readonly BalancedMember[];
  readonly shards: readonly BalancedShard[];
  /** Streams that this process already works on; others of its name are from before a restart and may be taken at once. */
  readonly held: ReadonlySet<string>;
}

export interface BalanceDecision {
  readonly take: readonly string[];
  readonly release: readonly string[];
}

/**
 * What this member does for a fair split: counts differ by at most one, and no shard moves that need not. Every member decides by
 * itself from the same rows. That two of them see different rows for a moment is harmless: a shard is only ever taken when it is
 * free, and a lease, not this decision, is the right to write (I2).
 */
export function balance({ me, members, shards, held }: BalanceView): BalanceDecision {
  const mine = shards.filter((shard) => shard.owner === me).map((shard) => shard.stream);
  const fromBefore = mine.filter((stream) => !held.has(stream));
  const ranked = rank(members, shards);
  const target = ranked.find((each) => each.name === me)?.target ?? 0;
  const kept = mine.slice(0, target);
  const free = shards.filter((shard) => shard.owner === undefined).map((shard) => shard.stream);
  // Each begins where those before it end, so that two do not reach for the same shards; should others be slow, none is left lying.
  const first = needBefore(ranked, me) % Math.max(1, free.length);
  const wanted = Math.max(0, target - mine.length);
  return {
    take: [
      ...fromBefore.filter((stream) => kept.includes(stream)),
      ...[...free.slice(first), ...free.slice(0, first)].slice(0, wanted),
    ],
    release: mine.slice(target).filter((stream) => held.has(stream)),
  };
}

interface RankedMember {
  readonly name: string;
  readonly owned: number;
  readonly target: number;
}

/** Who owns most keeps most: the shards that cannot be split evenly stay where they are. */
function rank(members: readonly BalancedMember[], shards: readonly BalancedShard[]): RankedMember[] {
  const owned = new Map<string, number>();
  for (const { owner } of shards) if (owner !== undefined) owned.set(owner, (owned.get(owner) ?? 0) + 1);
  const counted = members.map(({ name }) => ({ name, owned: owned.get(name) ?? 0 }));
  counted.sort((left, right) => right.owned - left.owned || (left.name < right.name ? -1 : 1));
  const share = members.length === 0 ? 0 : Math.floor(shards.length / members.length);
  const extras = shards.length - share * members.length;
  return counted.map((member, index) => ({ ...member, target: share + (index < extras ? 1 : 0) }));
}

/** How many free shards those ranked before this member want. */
function needBefore(ranked: readonly RankedMember[], me: string): number {
  let need = 0;
  for (const { name, owned, target } of ranked) {
    if (name === me) return need;
    need += Math.max(0, target - owned);
  }
  return need;
}
