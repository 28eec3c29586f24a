import type { Redis } from "ioredis";
import { compareEntryIds, firstEntryId } from "../change/entry-id.ts";
import type { Entry } from "../decode/entry.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { openRedis, redisUnavailable } from "./connect.ts";
import { ReadSize } from "./read-size.ts";
import { command, ReplyChannel } from "./reply-channel.ts";
import { ReplyCursor } from "./reply-scanner.ts";
import { readStreamExtent, type StreamExtent } from "./stream-extent.ts";

export interface ShardReaderOptions {
  readonly url: string;
  readonly stream: string;
  readonly group: string;
  /** The consumer's name. */
  readonly member: string;
  readonly maxEntries: number;
  readonly targetBytes: number;
  /** How long a waiting read waits, in milliseconds. */
  readonly blockMs: number;
}

const answerMs = 5_000;
const mostReported = 1_000;

/**
 * Reads one shard on a connection of its own. After `rewind` it delivers every entry behind the checkpoint, in order and
 * without a hole: each read is followed by the group's pending summary, which must list exactly what this reader holds (I3).
 * After any error the reader is closed and another one begins again at the checkpoint.
 */
export class ShardReader {
  private readonly options: ShardReaderOptions;
  private readonly redis: Redis;
  private readonly size: ReadSize;
  private closed = false;
  private abandon: (() => void) | undefined;
  private channel: ReplyChannel | undefined;
  /** Delivered and not yet settled, in order. */
  private held: string[] = [];
  private toSettle: string[] = [];
  private toRemove: string[] = [];
  /** The last id that was delivered, or that the group was set to. */
  private last = firstEntryId;

  private constructor(options: ShardReaderOptions, redis: Redis) {
    this.options = options;
    this.redis = redis;
    this.size = new ReadSize(options);
    redis.once("close", () => this.close());
  }

  static async open(options: ShardReaderOptions): Promise<ShardReader> {
    const redis = await openRedis({ url: options.url, name: `sluice:${options.member}:${options.stream}` });
    return new ShardReader(options, redis);
  }

  /** What the stream holds; undefined when there is no such key. */
  async extent(): Promise<StreamExtent | undefined> {
    return await this.answer(readStreamExtent(this.redis, this.options.stream));
  }

  /**
   * Makes the group say what the checkpoint says: nothing pending, everything after it to be delivered, also what a dead
   * consumer held. The pending list of a deleted consumer is lost on purpose; the checkpoint remembers what is missing.
   *
   * The place is set after the consumers are deleted: what another one reads in between is then delivered again. The other way
   * round it would be passed over, and no pending list would show it.
   */
  async rewind(checkpoint: { readonly id: string | undefined; readonly entries: bigint }): Promise<void> {
    const { stream, group } = this.options;
    const id = checkpoint.id ?? firstEntryId;
    const read = checkpoint.entries.toString();
    this.held = [];
    this.toSettle = [];
    this.last = id;
    const consumers = await this.answer(this.redis.call("XINFO", "CONSUMERS", stream, group)).catch(
      (error: unknown) => {
        if (isReply(error, "NOGROUP") || isReply(error, "no such key")) return undefined;
        throw error;
      },
    );
    if (consumers === undefined) {
      await this.answer(
        this.redis.call("XGROUP", "CREATE", stream, group, id, "MKSTREAM", "ENTRIESREAD", read),
      );
      return;
    }
    const pipeline = this.redis.pipeline();
    for (const name of consumerNames(consumers)) pipeline.call("XGROUP", "DELCONSUMER", stream, group, name);
    pipeline.call("XGROUP", "SETID", stream, group, id, "ENTRIESREAD", read);
    throwFirst(await this.answer(pipeline.exec()));
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

  /**
   * The next entries in order; empty when there are none, after waiting if `wait`. Settles first what was passed to
   * `settle`. Throws READ_HOLE when the pending summary is not what it must be.
   */
  async read(options: { readonly wait: boolean }): Promise<Entry[]> {
    const { blockMs } = this.options;
    const settled = this.toSettle.length;
    const removed = this.toRemove.length;
    const commands = this.commands(options.wait);
    const replies = removed + (settled > 0 ? 1 : 0) + 2;
    this.channel ??= new ReplyChannel(this.redis);
    const timeoutMs = answerMs + (options.wait ? blockMs : 0);
    try {
      const scanner = await this.channel.exchange(commands, replies, timeoutMs);
      const entries = this.take(new ReplyCursor(scanner), { settled, removed });
      this.size.learn(entries.length, bytesOf(entries));
      return entries;
    } catch (error) {
      throw asRedisError(error, this.options.stream);
    }
  }

  private commands(wait: boolean): string {
    const { stream, group, member, blockMs } = this.options;
    const block = wait ? ["BLOCK", blockMs] : [];
    const count = ["COUNT", this.size.next];
    let commands = "";
    for (const name of this.toRemove) commands += command("XGROUP", "DELCONSUMER", stream, group, name);
    if (this.toSettle.length > 0) commands += command("XACK", stream, group, ...this.toSettle);
    commands += command("XREADGROUP", "GROUP", group, member, ...count, ...block, "STREAMS", stream, ">");
    this.toSettle = [];
    this.toRemove = [];
    return commands + command("XPENDING", stream, group);
  }

  private take(replies: ReplyCursor, asked: { readonly settled: number; readonly removed: number }): Entry[] {
    for (let index = 0; index < asked.removed; index++) {
      throwError(replies);
      if (replies.integer() > 0) throw this.hole("a consumer that is gone had read entries");
    }
    if (asked.settled > 0) {
      throwError(replies);
      replies.integer();
      this.held.splice(0, asked.settled);
    }
    throwError(replies);
    const entries = readEntries(replies);
    const first = entries[0];
    if (first !== undefined && compareEntryIds(first.id, this.last) <= 0) {
      throw this.hole(`entry ${first.id} was delivered again, after ${this.last}`);
    }
    for (const entry of entries) this.held.push(entry.id);
    this.last = entries.at(-1)?.id ?? this.last;
    throwError(replies);
    this.verifyPending(replies);
    return entries;
  }

  /**
   * Consumers that must not be there; they are deleted with the next read. Nobody else may do that while this reader reads: the
   * pending entries of a deleted consumer vanish from the summary that tells of holes.
   */
  removeConsumers(names: readonly string[]): void {
    this.toRemove = [...names];
  }

  /** Entries that are durably applied; they are the oldest held. They are settled with the next read. */
  settle(ids: readonly string[]): void {
    this.toSettle.push(...ids);
  }

  /** Ends a waiting read at once. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.abandon?.();
    this.channel?.close();
    this.redis.disconnect();
  }

  /** The summary: `[count, first id, last id, [[consumer, count], …]]`. */
  private verifyPending(summary: ReplyCursor): void {
    const { held } = this;
    summary.array();
    const count = summary.integer();
    const [first, last] = [summary.text(), summary.text()];
    const consumers = summary.array();
    const consumer = consumers > 0 && summary.array() > 0 ? summary.text() : undefined;
    const exact =
      count === held.length &&
      (count === 0 ||
        (first === held[0] && last === held.at(-1) && consumers === 1 && consumer === this.options.member));
    if (!exact) throw this.hole(`the group has ${count} entries pending, this member holds ${held.length}`);
  }

  private hole(message: string): SluiceError {
    return new SluiceError("READ_HOLE", message, { place: { stream: this.options.stream } });
  }

  /** The answer, or an error when the connection closes or the time is up: the client may then never settle its promise. */
  private async answer<T>(promise: Promise<T>, blockMs = 0): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        const fail = (reason: string) => (): void => reject(redisUnavailable(new Error(reason)));
        timer = setTimeout(fail("no answer in time"), blockMs + answerMs);
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

function consumerNames(reply: unknown): string[] {
  if (!Array.isArray(reply)) return [];
  return reply.map((facts: unknown) => {
    const list = facts as unknown[];
    return String(list[list.indexOf("name") + 1]);
  });
}

function throwError(replies: ReplyCursor): void {
  const text = replies.error();
  if (text !== undefined) throw new SluiceError("REDIS_REPLY", `Redis answered: ${text}`);
}

function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entry.bytes, 0);
}

/** `[[stream, [[id, [name, value, …]], …]]]`, or nothing. */
function readEntries(replies: ReplyCursor): Entry[] {
  if (replies.array() < 1) return [];
  replies.array();
  replies.bulk();
  const count = replies.array();
  const { bytes: buffer } = replies;
  const entries: Entry[] = [];
  for (let index = 0; index < count; index++) {
    replies.array();
    replies.bulk();
    const id = buffer.toString("latin1", replies.start, replies.end);
    const fields = replies.array();
    const spans: number[] = [];
    let bytes = 0;
    for (let field = 0; field < fields; field++) {
      replies.bulk();
      spans.push(replies.start, replies.end);
      bytes += replies.end - replies.start;
    }
    entries.push({ id, buffer, spans, bytes });
  }
  return entries;
}
