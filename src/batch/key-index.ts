import { hashKey } from "../change/key-hash.ts";
import type { ShapePlan } from "../catalog/shape-plan.ts";
import type { Work } from "./work.ts";

const fewestSlots = 64;

/** What upserts have in common that are all there is. */
export interface Upserts {
  readonly plan: ShapePlan;
  /** All of them are. */
  readonly isNew: boolean;
}

/**
 * The work of each key. Keys are compared as the bytes that were read, so that a batch of new rows is folded without a string for
 * each: those would have to be made, hashed and kept.
 */
export class KeyIndex {
  /** One of each key, in the order in which the keys came. */
  readonly works: Work[] = [];
  private readonly hashes: number[] = [];
  private plan: ShapePlan | undefined;
  private isMixed = false;
  private isNew = true;
  /** Place in `works` and one more; 0 is free. A key's slot is the first free one from its hash on. */
  private slots = new Int32Array(fewestSlots);

  get upserts(): Upserts | undefined {
    const { plan, isMixed, isNew } = this;
    return plan === undefined || isMixed ? undefined : { plan, isNew };
  }

  /** `hash`: see `hashOf`. */
  find(work: Work, hash: number): Work | undefined {
    const place = this.slots[this.slotOf(work, hash)] ?? 0;
    return place === 0 ? undefined : this.works[place - 1];
  }

  /** In place of the one with the same key, if there is one. */
  put(work: Work, hash: number): void {
    this.plan ??= work.plan;
    if (work.kind !== "upsert" || work.plan !== this.plan) this.isMixed = true;
    if (!work.isNew) this.isNew = false;
    const slot = this.slotOf(work, hash);
    const place = this.slots[slot] ?? 0;
    if (place > 0) {
      this.works[place - 1] = work;
      return;
    }
    this.hashes.push(hash);
    this.slots[slot] = this.works.push(work);
    if (this.works.length * 2 > this.slots.length) this.grow();
  }

  /** The key's, or the free one where it would go. */
  private slotOf(work: Work, hash: number): number {
    const { slots, works, hashes } = this;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let place = slots[slot]; place !== undefined && place > 0; place = slots[slot]) {
      const other = works[place - 1];
      if (hashes[place - 1] === hash && other !== undefined && isSameKey(other, work)) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  private grow(): void {
    const { hashes } = this;
    const slots = new Int32Array(this.slots.length * 4);
    for (let place = 0; place < hashes.length; place++) {
      let slot = (hashes[place] ?? 0) & (slots.length - 1);
      while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
      slots[slot] = place + 1;
    }
    this.slots = slots;
  }
}

function isSameKey(left: Work, right: Work): boolean {
  const [one, other] = [left.change, right.change];
  const length = one.keyEnd - one.keyStart;
  if (other.keyEnd - other.keyStart !== length || one.table.id !== other.table.id) return false;
  for (let at = 0; at < length; at++)
    if (one.bytes[one.keyStart + at] !== other.bytes[other.keyStart + at]) return false;
  return true;
}

/** Of the table and the key. */
export function hashOf({ change }: Work): number {
  return change.keyHash ?? hashKey(change.table, change.bytes, change.keyStart, change.keyEnd);
}
