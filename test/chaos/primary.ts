import { unchanged, type PrimaryChange } from "./envelope.ts";
import type { Random } from "./random.ts";

/** How often an entry of the table without a key was written, as far as that is known. */
export interface Tally {
  sure: number;
  /** Whether Redis took these is not known: the reply was lost. */
  unsure: number;
}

type Row = Readonly<Record<string, unknown>>;
type ChangeOf = Pick<PrimaryChange, "op" | "key" | "after" | "newKey" | "oldKey">;

const accounts = 500;
const orders = 60;
const linesOfOrder = 5;
const documents = 200;

/** Stands in for the primary: makes changes, and remembers what its tables hold. */
export class Primary {
  /** By table and the key's text: what the read database has to hold in the end. */
  readonly rows = {
    account: new Map<string, Row>(),
    order_line: new Map<string, Row>(),
    document: new Map<string, Row>(),
  };
  /** By number. */
  readonly eventLog: Tally[] = [];
  private readonly random: Random;
  /** A key that was changed away from never comes back. */
  private readonly documentIds = Array.from({ length: documents }, (_, index) => index);
  private nextDocument = documents;
  private lsn = 1_000_000;
  private commitLsn = 1_000_000;
  private clockMs = 0;

  constructor(random: Random) {
    this.random = random;
  }

  /** One transaction. Its changes are of different keys, but for the two halves of a key change. */
  transact(): PrimaryChange[] {
    const { random } = this;
    const changes: PrimaryChange[] = [];
    const keys = new Set<string | undefined>();
    this.clockMs = Math.max(this.clockMs, Date.now());
    const emit = (table: string, made: readonly ChangeOf[]): void => {
      // Both halves of a key change have one position.
      this.lsn += 40 + random.below(200);
      for (const change of made) {
        keys.add(change.key);
        const { lsn, commitLsn, clockMs: committedAtMs } = this;
        changes.push({ ...change, table, lsn, commitLsn, committedAtMs });
      }
    };
    const size = 1 + random.below(4);
    for (let index = 0; index < size; index++) {
      const dice = random.next();
      if (dice < 0.4) emit("account", this.account());
      else if (dice < 0.65) emit("order_line", this.orderLine());
      else if (dice < 0.95) emit("document", this.document());
      else emit("event_log", [this.event()]);
    }
    this.lsn += 100;
    this.commitLsn = this.lsn;
    return changes;
  }

  private account(): ChangeOf[] {
    const { random } = this;
    const rows = this.rows.account;
    const id = random.below(accounts);
    const key = keyOf({ id });
    const row = { id, balance: random.below(1_000_000), note: `note ${this.lsn} ü "quoted"` };
    if (!rows.has(key)) return [write("c", rows, row, { id })];
    const dice = random.next();
    if (dice < 0.7) return [write("u", rows, row, { id })];
    const free = random.below(accounts);
    if (dice < 0.85 || rows.has(keyOf({ id: free }))) return [remove(rows, key)];
    return changeKey(rows, key, { ...row, id: free }, { id: free });
  }

  private orderLine(): ChangeOf[] {
    const { random } = this;
    const rows = this.rows.order_line;
    const key = { order_id: random.below(orders), line: random.below(linesOfOrder) };
    const row = {
      ...key,
      quantity: random.below(100),
      price: random.chance(0.1) ? null : (random.below(1e6) / 100).toFixed(2),
    };
    const exists = rows.has(keyOf(key));
    if (exists && random.chance(0.25)) return [remove(rows, keyOf(key))];
    return [write(exists ? "u" : "c", rows, row, key)];
  }

  private document(): ChangeOf[] {
    const { random } = this;
    const rows = this.rows.document;
    const slot = random.below(documents);
    const id = this.documentIds[slot] ?? 0;
    const key = keyOf({ id });
    const before = rows.get(key);
    const title = `title ${this.lsn}`;
    const body = `${this.lsn} `.repeat(20 + random.below(40));
    if (before === undefined) return [write("c", rows, { id, title, body }, { id })];
    const dice = random.next();
    if (dice < 0.2) return [write("u", rows, { id, title, body }, { id })];
    if (dice < 0.82) {
      rows.set(key, { ...before, title });
      return [{ op: "u", key, after: { id, title, body: unchanged } }];
    }
    if (dice < 0.97) return [remove(rows, key)];
    const moved = this.nextDocument++;
    this.documentIds[slot] = moved;
    const halves = changeKey(rows, key, { ...before, id: moved, title }, { id: moved });
    return halves.map((half) =>
      half.op === "c" ? { ...half, after: { id: moved, title, body: unchanged } } : half,
    );
  }

  private event(): ChangeOf {
    const number = this.eventLog.push({ sure: 0, unsure: 0 }) - 1;
    return { op: "c", key: undefined, after: { number, note: `event ${number}` } };
  }
}

function keyOf(key: Row): string {
  return JSON.stringify(key);
}

function write(op: "c" | "u", rows: Map<string, Row>, row: Row, key: Row): ChangeOf {
  rows.set(keyOf(key), row);
  return { op, key: keyOf(key), after: row };
}

function remove(rows: Map<string, Row>, key: string): ChangeOf {
  rows.delete(key);
  return { op: "d", key, after: null };
}

function changeKey(rows: Map<string, Row>, oldKey: string, row: Row, key: Row): ChangeOf[] {
  const newKey = keyOf(key);
  return [
    { ...remove(rows, oldKey), newKey },
    { ...write("c", rows, row, key), oldKey },
  ];
}
