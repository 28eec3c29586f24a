import { setTimeout as pause } from "node:timers/promises";
import { debeziumFields, type PrimaryChange } from "./envelope.ts";
import { Primary } from "./primary.ts";
import { Random } from "./random.ts";
import { StreamWriter, type NewEntry } from "./stream-writer.ts";

const tickMs = 30;
const transactionsOfTick = 7;
/** Entries that can be sent again, as many as one batch of Debezium's and some. */
const remembered = 1_000;

interface SentEntry extends NewEntry {
  readonly table: string;
}

/** Stands in for the primary and Debezium: appends changes to the streams until told to stop. */
export class Load {
  readonly primary: Primary;
  resent = 0;
  private readonly writer: StreamWriter;
  private readonly streams: readonly string[];
  private recent: SentEntry[] = [];
  private toResend = 0;
  private going: { stopping: boolean; readonly ended: Promise<void> } | undefined;

  constructor(options: {
    readonly redisUrl: string;
    readonly streams: readonly string[];
    readonly seed: number;
  }) {
    this.primary = new Primary(new Random(options.seed + 1));
    this.writer = new StreamWriter(options.redisUrl);
    this.streams = options.streams;
  }

  /** Entries that Redis took, sent again ones included. */
  get entries(): number {
    return this.writer.taken;
  }

  /** Tries that Redis refused or did not answer. */
  get refused(): number {
    return this.writer.failures;
  }

  get lastRefusal(): string {
    return this.writer.lastRefusal;
  }

  start(): void {
    if (this.going !== undefined) return;
    const state = { stopping: false, ended: Promise.resolve() };
    state.ended = this.run(state);
    this.going = state;
  }

  /** Resolves when everything that was made is in the streams; false when Redis does not take it in time. */
  async stop(withinMs: number): Promise<boolean> {
    const { going } = this;
    if (going === undefined) return true;
    going.stopping = true;
    const late = new AbortController();
    const ended = await Promise.race([
      going.ended.then(() => true),
      pause(withinMs, false, { signal: late.signal }).catch(() => false),
    ]);
    late.abort();
    if (ended) this.going = undefined;
    return ended;
  }

  close(): void {
    this.writer.close();
  }

  /** Sends the last entries again, in order, as Debezium does after a crash. */
  resend(count: number): void {
    this.toResend = count;
  }

  private async run(state: { readonly stopping: boolean }): Promise<void> {
    while (!state.stopping) {
      const entries: SentEntry[] = [];
      for (let index = 0; index < transactionsOfTick; index++) {
        for (const change of this.primary.transact()) entries.push(this.entry(change));
      }
      await this.send(entries);
      this.recent = [...this.recent, ...entries].slice(-remembered);
      if (this.toResend > 0) {
        const again = this.recent.slice(-this.toResend);
        this.toResend = 0;
        await this.send(again);
        this.resent += again.length;
      }
      await pause(tickMs);
    }
  }

  /** Debezium may put an older change of a key behind a newer one; a row whose large value was left out could not bear that. */
  private async send(entries: readonly SentEntry[]): Promise<void> {
    await this.writer.append(
      entries.filter(({ table }) => table === "document"),
      "together",
    );
    await this.writer.append(
      entries.filter(({ table }) => table !== "document"),
      "singly",
    );
  }

  private entry(change: PrimaryChange): SentEntry {
    const number = change.table === "event_log" ? Number(change.after?.["number"]) : undefined;
    return {
      table: change.table,
      stream: this.streams[shardOf(change, this.streams.length)] ?? "",
      fields: debeziumFields(change),
      tally: number === undefined ? undefined : this.primary.eventLog[number],
    };
  }
}

function shardOf({ table, key }: PrimaryChange, shards: number): number {
  let hash = 0x811c9dc5;
  for (const character of `${table}|${key ?? ""}`)
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 8) % shards;
}
