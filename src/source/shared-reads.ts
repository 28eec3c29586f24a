import { entriesOf, type Entries } from "../decode/entries.ts";
import { BackOff } from "../runtime/back-off.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { openRedis } from "./connect.ts";
import { readEntries } from "./read-entries.ts";
import { bulk, commandHead, plainBulk, ReplyChannel } from "./reply-channel.ts";
import { ReplyCursor } from "./reply-scanner.ts";

export interface SharedReadsOptions {
  readonly url: string;
  /** Shown by CLIENT LIST. */
  readonly name: string;
  /** Of all shards of a member; what was read together lies in one buffer. */
  readonly buffers: BufferPool;
  /** What one exchange brings at most, of all shards. */
  readonly mostEntries: number;
  readonly mostBytes: () => number;
}

/** What a shard asks of its stream. */
export interface StreamRead {
  readonly stream: string;
  /** The entry after which it reads. */
  readonly after: string;
  readonly mostEntries: number;
  /** Of the last entry that was read: what follows is taken to be like it. */
  readonly entryBytes: number;
  /** A command that comes first; where it is refused, nothing was read. */
  readonly before: string;
  /** A command that comes last, and what becomes of its reply, which is called whether entries came or not. */
  readonly question: string;
  readonly answer: (replies: ReplyCursor) => boolean | undefined;
}

export interface StreamReply {
  readonly entries: Entries;
  readonly answer: boolean | undefined;
  /** There may be more. */
  readonly isFull: boolean;
}

interface Ticket {
  readonly read: StreamRead;
  readonly resolve: (reply: StreamReply | undefined) => void;
}

/** Nothing here blocks in Redis, and a shard that gets no answer can still ask for itself. */
const answerMs = 1_000;
/** How long shards read for themselves after a failure, and after one that follows others. */
const [restMs, longestRestMs] = [1_000, 60_000];
/** A server or a firewall may have ended a connection that was idle for longer, without a word. */
const longestIdleMs = 10_000;
/** Entries may be larger than the last ones; a reply beyond the limit is given up. */
const fullness = 0.5;
const noEntries = entriesOf([]);

/**
 * Reads that shards of a member want at the same moment, as those do whose last batches were in one transaction: one exchange asks for
 * what all their streams hold by now. It costs little more than the read of one shard, and what it brings fits into one transaction again.
 *
 * It promises nothing: a shard that gets no reply reads for itself, so that whatever fails here is found out by whom it concerns.
 */
export class SharedReads {
  private readonly options: SharedReadsOptions;
  private channel: ReplyChannel | undefined;
  /** Undefined: no connection is being made. */
  private opening: symbol | undefined;
  private usableFrom = 0;
  private readonly backOff = new BackOff({ firstMs: restMs, maxMs: longestRestMs });
  private usedAt = 0;
  private waiting: Ticket[] = [];
  private scheduled = false;
  private atWork = false;
  private closed = false;
  /** Called when nobody waits for a reply any more. */
  settled: () => void = () => undefined;

  constructor(options: SharedReadsOptions) {
    this.options = options;
  }

  /** Entries of several shards are on their way. */
  get underWay(): boolean {
    return this.scheduled || this.atWork;
  }

  /** What the stream holds now; undefined: the shard must ask for itself. Never rejects. */
  read(read: StreamRead): Promise<StreamReply | undefined> {
    const { promise, resolve } = Promise.withResolvers<StreamReply | undefined>();
    this.waiting.push({ read, resolve });
    if (!this.underWay) {
      this.scheduled = true;
      // Behind the promises by which the others learn of the same transaction.
      process.nextTick(() => void this.serve());
    }
    return promise;
  }

  /** A shard's own connection has failed: the address may be another server's by now, and nobody is to read from two. */
  connectAnew(): void {
    this.opening = undefined;
    this.channel?.close();
    this.channel = undefined;
  }

  close(): void {
    this.closed = true;
    this.connectAnew();
  }

  private async serve(): Promise<void> {
    this.scheduled = false;
    this.atWork = true;
    while (this.waiting.length > 0) {
      const tickets = this.waiting;
      this.waiting = [];
      const channel = tickets.length > 1 ? this.usable() : undefined;
      const replies = channel && (await this.exchange(channel, tickets));
      for (const [index, { resolve }] of tickets.entries()) resolve(replies?.[index]);
    }
    this.atWork = false;
    this.settled();
  }

  /** Undefined: there is none yet, or it rests. */
  private usable(): ReplyChannel | undefined {
    const now = performance.now();
    if (now - this.usedAt > longestIdleMs) this.connectAnew();
    const isOpen = this.channel !== undefined || this.opening !== undefined;
    if (!isOpen && !this.closed && now >= this.usableFrom) void this.open();
    this.usedAt = now;
    return this.channel;
  }

  private async open(): Promise<void> {
    const { url, name, buffers } = this.options;
    const own = (this.opening = Symbol("opening"));
    try {
      const redis = await openRedis({ url, name });
      const channel = new ReplyChannel(redis, buffers);
      if (this.opening !== own) {
        channel.close();
        return;
      }
      this.channel = channel;
      redis.once("close", () => this.drop(channel));
    } catch {
      this.rest();
    }
    if (this.opening === own) this.opening = undefined;
  }

  /** It has failed; another one may be in its place already. */
  private drop(channel: ReplyChannel): void {
    if (this.channel !== channel) return;
    this.connectAnew();
    this.rest();
  }

  private rest(): void {
    this.usableFrom = performance.now() + this.backOff.next();
  }

  private async exchange(
    channel: ReplyChannel,
    tickets: readonly Ticket[],
  ): Promise<readonly (StreamReply | undefined)[] | undefined> {
    const reads = tickets.map(({ read }) => read);
    const mostBytes = this.options.mostBytes();
    const mostEntries = this.entriesOfEach(reads, mostBytes);
    try {
      const commands = commandsOf(reads, mostEntries);
      const scanner = await channel.exchange(commands, 2 * reads.length + 1, answerMs, mostBytes);
      const replies = repliesOf(reads, mostEntries, new ReplyCursor(scanner));
      const holders = replies.filter((reply) => reply !== undefined && reply.entries.length > 0);
      this.options.buffers.share(scanner.bytes, holders.length);
      this.backOff.reset();
      return replies;
    } catch {
      // Each of the shards asks again, and learns what it was if it is still so.
      this.drop(channel);
      return undefined;
    }
  }

  /** XREAD has one COUNT for all its streams. */
  private entriesOfEach(reads: readonly StreamRead[], mostBytes: number): number {
    const bytes = reads.reduce((sum, { entryBytes }) => sum + entryBytes, 1);
    const fitting = Math.min(this.options.mostEntries / reads.length, (fullness * mostBytes) / bytes);
    return Math.max(1, Math.min(Math.floor(fitting), ...reads.map(({ mostEntries }) => mostEntries)));
  }
}

function commandsOf(reads: readonly StreamRead[], mostEntries: number): string {
  let [befores, streams, places, questions] = ["", "", "", ""];
  for (const { before, stream, after, question } of reads) {
    befores += before;
    streams += bulk(stream);
    places += plainBulk(after);
    questions += question;
  }
  const head = commandHead(4 + 2 * reads.length, "XREAD", "COUNT", mostEntries, "STREAMS");
  return befores + head + streams + places + questions;
}

/**
 * Throws when the command that reads was refused, which any of the streams may have brought about, or when all others were: then the
 * server is not that of the shards.
 */
function repliesOf(
  reads: readonly StreamRead[],
  mostEntries: number,
  replies: ReplyCursor,
): readonly (StreamReply | undefined)[] {
  const refused = reads.map(() => passOver(replies));
  const refusal = replies.error();
  if (refusal !== undefined || refused.every(Boolean)) throw new Error(refusal ?? "all were refused");
  const found = new Map<string | undefined, Entries>();
  for (let left = replies.array(); left > 0; left--) {
    replies.array();
    found.set(replies.text(), readEntries(replies));
  }
  return reads.map(({ stream, answer }, index) => {
    const entries = found.get(stream) ?? noEntries;
    const reply = { entries, answer: answer(replies), isFull: entries.length === mostEntries };
    return refused[index] === true ? undefined : reply;
  });
}

/** Whether it was an error. */
function passOver(replies: ReplyCursor): boolean {
  if (replies.error() !== undefined) return true;
  replies.skip();
  return false;
}
