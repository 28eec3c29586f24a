import type { Redis } from "ioredis";
import { firstEntryId } from "../change/entry-id.ts";
import { entriesOf, type Entries } from "../decode/entries.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { listOf, pairs } from "./ask.ts";
import { openRedis, redisUnavailable } from "./connect.ts";
import { PlaceCheck, type PlaceQuestion, type ReadPlace } from "./place-check.ts";
import { readEntries } from "./read-entries.ts";
import { ReadSize, type ReadLimits } from "./read-size.ts";
import type { ReadTurns } from "./read-turns.ts";
import { command, commandHead, plainBulk, ReplyChannel } from "./reply-channel.ts";
import { ReplyCursor } from "./reply-scanner.ts";
import { readStreamExtent, type ExpectedEntries, type StreamExtent } from "./stream-extent.ts";

export interface ShardReaderOptions extends ReadLimits {
  readonly url: string;
  readonly stream: string;
  readonly group: string;
  /** The consumer's name. */
  readonly member: string;
  /** How long a waiting read waits, in milliseconds. */
  readonly blockMs: number;
  /** Where the bytes of replies go; shared by all shards. */
  readonly buffers: BufferPool;
  /** When a read that does not wait may ask; shared by all shards. */
  readonly turns: ReadTurns;
}

const answerMs = 5_000;
const mostReported = 1_000;
const entriesRead = plainBulk("ENTRIESREAD");

/** A place in the stream. */
interface Place {
  /** Undefined: before the first entry. */
  readonly id: string | undefined;
  /** Entries of the stream at or before it, removed ones included. */
  readonly entries: bigint;
}

/**
 * Reads one shard on a connection of its own. Each read names the entry after which it begins, so it can make no hole (I3): a lost
 * reply, another reader or a client that sends a read twice changes nothing of what comes next. The consumer group is told of what
 * is applied and never asked: it shows operators the place, the lag and who reads, and keeps the entries for others who trim.
 *
 * After any error the reader is closed and another one begins again at the checkpoint.
 */
export class ShardReader {
  private readonly options: ShardReaderOptions;
  private readonly redis: Redis;
  private readonly size: ReadSize;
  private closed = false;
  private abandon: (() => void) | undefined;
  private channel: ReplyChannel | undefined;
  /** The last entry that was read, or the one that reading began after. */
  private last = firstEntryId;
  /** Entries of the stream at or before it. */
  private entries = 0n;
  private lastBytes: number | undefined;
  private head: { readonly wait: boolean; readonly count: number; readonly text: string } | undefined;
  private readonly placeCheck: PlaceCheck;
  /** Begins the command that tells the group of its place. */
  private readonly settling: string;
  private settled: Place = { id: undefined, entries: 0n };
  private toSettle = false;
  private toRemove: readonly string[] = [];

  private constructor(options: ShardReaderOptions, redis: Redis) {
    this.options = options;
    this.redis = redis;
    this.size = new ReadSize(options);
    this.placeCheck = new PlaceCheck(options.stream);
    this.settling = commandHead(7, "XGROUP", "SETID", options.stream, options.group);
    redis.once("close", () => this.close());
  }

  /** Gives up connecting when the signal is aborted. */
  static async open(options: ShardReaderOptions, signal?: AbortSignal): Promise<ShardReader> {
    const { url, member, stream } = options;
    const giveUp = signal === undefined ? {} : { signal };
    const redis = await openRedis({ url, name: `sluice:${member}:${stream}`, ...giveUp });
    return new ShardReader(options, redis);
  }

  /** What the stream holds, and whether those entries are in it; undefined when there is no such key. */
  async extent(expected?: ExpectedEntries): Promise<StreamExtent | undefined> {
    return await this.answer(readStreamExtent(this.redis, this.options.stream, expected));
  }

  /**
   * Begins after the checkpoint, and makes the group say what it says: its place, nothing pending, no consumer but this member. What
   * a dead consumer held comes again with what follows the checkpoint; its pending list is not needed. Returns how many entries
   * consumers held.
   */
  async rewind(checkpoint: Place): Promise<number> {
    const { stream, group, member } = this.options;
    const id = checkpoint.id ?? firstEntryId;
    const place = [id, "ENTRIESREAD", checkpoint.entries.toString()];
    this.last = id;
    this.lastBytes = undefined;
    this.entries = checkpoint.entries;
    this.settled = checkpoint;
    const consumers = await this.consumers();
    const pipeline = this.redis.pipeline();
    if (consumers === undefined)
      pipeline.call("XGROUP", "CREATE", stream, group, id, "MKSTREAM", ...place.slice(1));
    for (const { name } of consumers ?? []) pipeline.call("XGROUP", "DELCONSUMER", stream, group, name);
    pipeline.call("XGROUP", "SETID", stream, group, ...place);
    throwFirst(await this.answer(pipeline.exec()));
    // Refused when Redis is out of memory, which must not keep entries from being applied.
    await this.answer(this.redis.call("XGROUP", "CREATECONSUMER", stream, group, member)).catch(
      () => undefined,
    );
    return pendingOf(consumers);
  }

  /** Undefined: there is no such group. */
  private async consumers(): Promise<readonly Consumer[] | undefined> {
    const { stream, group } = this.options;
    try {
      return consumersOf(await this.answer(this.redis.call("XINFO", "CONSUMERS", stream, group)));
    } catch (error) {
      if (isReply(error, "NOGROUP") || isReply(error, "no such key")) return undefined;
      throw error;
    }
  }

  /** Rids the group of everyone but this member where reading cannot begin: registered are those who run, and the checkpoint remembers what is missing. */
  async removeOthers(): Promise<void> {
    const { stream, group, member } = this.options;
    const others = (await this.consumers())?.filter(({ name }) => name !== member);
    const pipeline = this.redis.pipeline();
    for (const { name } of others ?? []) pipeline.call("XGROUP", "DELCONSUMER", stream, group, name);
    throwFirst(await this.answer(pipeline.exec()));
  }

  /** Leaves the group to whoever reads next: at the checkpoint, without this member. */
  async leave(checkpoint: Place): Promise<void> {
    await this.rewind(checkpoint);
    const { stream, group, member } = this.options;
    await this.answer(this.redis.call("XGROUP", "DELCONSUMER", stream, group, member));
  }

  /** Whether the stream has entries after `id`. */
  async hasAfter(id: string): Promise<boolean> {
    const found = await this.answer(
      this.redis.call("XRANGE", this.options.stream, `(${id}`, "+", "COUNT", 1),
    );
    return Array.isArray(found) && found.length > 0;
  }

  /** Up to a thousand ids after `id` that a consumer has pending and that were deleted from the stream. */
  async deletedPending(id: string): Promise<string[]> {
    const { stream, group } = this.options;
    const pending = await this.answer(
      this.redis.call("XPENDING", stream, group, `(${id}`, "+", mostReported),
    ).catch(() => undefined);
    if (!Array.isArray(pending)) return [];
    const ids = pending.map((each: unknown) => String((each as unknown[])[0]));
    const pipeline = this.redis.pipeline();
    for (const each of ids) pipeline.call("XRANGE", stream, each, each);
    const found = throwFirst(await this.answer(pipeline.exec()));
    return ids.filter((_, index) => (found[index] as unknown[]).length === 0);
  }

  /** The next entries in order; empty when there are none, after waiting if `wait`. Tells the group first what was settled. */
  async read(options: { readonly wait: boolean }): Promise<Entries> {
    const { stream, turns } = this.options;
    try {
      const asking = options.wait ? this.ask(true) : turns.take(() => this.ask(false));
      const { replies, question } = await asking;
      throwError(replies);
      const entries = entriesOfStream(replies);
      const isThere = entries.length === 0 || this.placeCheck.isThere(replies, question);
      if (isThere !== true) await this.verifyPlace(isThere, entries.length);
      if (entries.length === 0) this.options.buffers.giveBack(replies.bytes);
      this.take(entries);
      return entries;
    } catch (error) {
      throw asRedisError(error, stream);
    }
  }

  private async ask(
    wait: boolean,
  ): Promise<{ readonly replies: ReplyCursor; readonly question: PlaceQuestion }> {
    const news = this.newsForGroup(wait);
    const read = this.readHead(wait) + plainBulk(this.last);
    const question = this.placeCheck.question(this.place);
    this.channel ??= new ReplyChannel(this.redis, this.options.buffers);
    const timeoutMs = answerMs + (wait ? this.options.blockMs : 0);
    const commands = news.join("") + read + question.command;
    const replies = new ReplyCursor(
      await this.channel.exchange(commands, news.length + 2, timeoutMs, this.size.mostBytes),
    );
    for (let index = 0; index < news.length; index++) passOver(replies);
    return { replies, question };
  }

  /** Of the command that reads, all but the place: it is the same from one read to the next for the most part. */
  private readHead(wait: boolean): string {
    const { stream, blockMs } = this.options;
    const { head, size } = this;
    if (head?.wait === wait && head.count === size.next) return head.text;
    const block = wait ? ["BLOCK", blockMs] : [];
    const parts = ["XREAD", "COUNT", size.next, ...block, "STREAMS", stream];
    const text = commandHead(parts.length + 1, ...parts);
    this.head = { wait, count: size.next, text };
    return text;
  }

  private get place(): ReadPlace {
    return { id: this.last, entries: this.entries, bytes: this.lastBytes };
  }

  private take(entries: Entries): void {
    const { lastId } = entries;
    if (lastId === undefined) return;
    this.last = lastId;
    this.lastBytes = entries.bytesOf(entries.length - 1);
    this.entries += BigInt(entries.length);
    this.size.learn(entries.length, entries.bytesOf());
  }

  /** Before the entries are given out: none may be missing between them and those before (I8). */
  private async verifyPlace(isThere: false | undefined, next: number): Promise<void> {
    const { placeCheck, place } = this;
    const asked = placeCheck.entry(place.id);
    if (isThere ?? (await this.look(asked.command, (reply) => placeCheck.isThere(reply, asked)))) return;
    await this.look(placeCheck.counts(), (reply) => placeCheck.requireNoGap(reply, place, next));
  }

  private async look<T>(question: string, read: (reply: ReplyCursor) => T): Promise<T> {
    if (this.channel === undefined) throw redisUnavailable(new Error("the connection was closed"));
    const reply = new ReplyCursor(await this.channel.exchange(question, 1, answerMs));
    const answer = read(reply);
    this.options.buffers.giveBack(reply.bytes);
    return answer;
  }

  /** A waiting read always names the place: it fails, and begins anew, when the stream or the group has gone. */
  private newsForGroup(wait: boolean): string[] {
    const { stream, group } = this.options;
    const { settled, toSettle, toRemove } = this;
    this.toSettle = false;
    this.toRemove = [];
    const news = toRemove.map((name) => command("XGROUP", "DELCONSUMER", stream, group, name));
    if (!toSettle && !wait) return news;
    const place = plainBulk(settled.id ?? firstEntryId);
    news.push(this.settling + place + entriesRead + plainBulk(settled.entries.toString()));
    return news;
  }

  /** Consumers that are not to be there; they are deleted with the next read. */
  removeConsumers(names: readonly string[]): void {
    this.toRemove = names;
  }

  /** Entries at or before the place that were never read, since somebody deleted them: the group's count is set right by them. */
  countDeleted(entries: bigint): void {
    this.entries += entries;
    this.settled = { ...this.settled, entries: this.settled.entries + entries };
  }

  /** All entries of a read, durably applied; the group is told with the next read. Their bytes are then written over. */
  settle(entries: Entries): void {
    const { lastId } = entries;
    if (lastId === undefined) return;
    this.settled = { id: lastId, entries: this.settled.entries + BigInt(entries.length) };
    this.options.buffers.giveBack(entries.buffer);
    this.toSettle = true;
  }

  /** Ends a read at once; one that waits for its turn ends when that comes. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.abandon?.();
    this.channel?.close();
    this.redis.disconnect();
  }

  /** The answer, or an error when the connection closes or the time is up: the client may then never settle its promise. */
  private async answer<T>(promise: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        const fail = (reason: string) => (): void => reject(redisUnavailable(new Error(reason)));
        timer = setTimeout(fail("no answer in time"), answerMs);
        this.abandon = fail("the connection was closed");
        if (this.closed) this.abandon();
        promise.then(resolve, reject);
      });
    } catch (error) {
      throw asRedisError(error, this.options.stream);
    } finally {
      clearTimeout(timer);
      this.abandon = undefined;
    }
  }
}

function asRedisError(error: unknown, stream: string): SluiceError {
  if (error instanceof SluiceError) return error.at({ stream });
  if (error instanceof Error && error.name === "ReplyError") {
    return new SluiceError("REDIS_REPLY", `Redis answered: ${error.message}`, {
      place: { stream },
      cause: error,
    });
  }
  return redisUnavailable(error).at({ stream });
}

function isReply(error: unknown, text: string): boolean {
  return error instanceof SluiceError && error.code === "REDIS_REPLY" && error.message.includes(text);
}

type PipelineReplies = readonly (readonly [error: Error | null, result: unknown])[] | null;

function throwFirst(replies: PipelineReplies): unknown[] {
  if (replies === null) throw redisUnavailable(new Error("the pipeline was dropped"));
  for (const [error] of replies) {
    if (error !== null)
      throw new SluiceError("REDIS_REPLY", `Redis answered: ${error.message}`, { cause: error });
  }
  return replies.map(([, result]) => result);
}

interface Consumer {
  readonly name: string;
  /** Entries that it was given and has not acknowledged. */
  readonly pending: number;
}

function pendingOf(consumers: readonly Consumer[] | undefined): number {
  return (consumers ?? []).reduce((sum, { pending }) => sum + pending, 0);
}

/** From the reply of XINFO CONSUMERS. */
function consumersOf(reply: unknown): readonly Consumer[] {
  return listOf(reply).map((each) => {
    const facts = pairs(each);
    return { name: String(facts.get("name")), pending: Number(facts.get("pending") ?? 0) };
  });
}

function throwError(replies: ReplyCursor): void {
  const text = replies.error();
  if (text !== undefined) throw new SluiceError("REDIS_REPLY", `Redis answered: ${text}`);
}

function passOver(replies: ReplyCursor): void {
  throwError(replies);
  replies.skip();
}

/** `[[stream, entries]]`, or nothing. */
function entriesOfStream(replies: ReplyCursor): Entries {
  if (replies.array() < 1) return entriesOf([]);
  replies.array();
  replies.bulk();
  return readEntries(replies);
}
