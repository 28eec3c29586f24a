import type { Redis } from "ioredis";
import { firstEntryId } from "../change/entry-id.ts";
import type { Entry } from "../decode/decode-chunk.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { openRedis, redisUnavailable } from "./connect.ts";
import { ReadSize } from "./read-size.ts";

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

/** What a stream holds and has held. */
export interface StreamExtent {
  /** Undefined: the stream is empty. */
  readonly firstId: string | undefined;
  readonly lastId: string;
  /** Entries ever added, removed ones included. */
  readonly added: bigint;
  readonly length: bigint;
}

const answerMs = 5_000;

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
  /** Delivered and not yet settled, in order. */
  private held: string[] = [];
  private toSettle: string[] = [];

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
    const reply = await this.answer(this.redis.call("XINFO", "STREAM", this.options.stream)).catch(
      (error: unknown) => {
        if (isReply(error, "no such key")) return undefined;
        throw error;
      },
    );
    if (!Array.isArray(reply)) return undefined;
    const facts = new Map<unknown, unknown>();
    for (let index = 0; index < reply.length; index += 2) facts.set(reply[index], reply[index + 1]);
    const first = facts.get("first-entry");
    return {
      firstId: Array.isArray(first) ? String(first[0]) : undefined,
      lastId: String(facts.get("last-generated-id")),
      added: BigInt(String(facts.get("entries-added"))),
      length: BigInt(String(facts.get("length"))),
    };
  }

  /**
   * Makes the group say what the checkpoint says: nothing pending, everything after it to be delivered, also what a dead
   * consumer held. The pending list of a deleted consumer is lost on purpose; the checkpoint remembers what is missing.
   */
  async rewind(checkpoint: { readonly id: string | undefined; readonly entries: bigint }): Promise<void> {
    const { stream, group } = this.options;
    const id = checkpoint.id ?? firstEntryId;
    const read = checkpoint.entries.toString();
    this.held = [];
    this.toSettle = [];
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
    const pipeline = this.redis.pipeline().call("XGROUP", "SETID", stream, group, id, "ENTRIESREAD", read);
    for (const name of consumerNames(consumers)) pipeline.call("XGROUP", "DELCONSUMER", stream, group, name);
    throwFirst(await this.answer(pipeline.exec()));
  }

  /**
   * The next entries in order; empty when there are none, after waiting if `wait`. Settles first what was passed to
   * `settle`. Throws READ_HOLE when the pending summary is not what it must be.
   */
  async read(options: { readonly wait: boolean }): Promise<Entry[]> {
    const { stream, group, member, blockMs } = this.options;
    const settling = this.toSettle;
    this.toSettle = [];
    const pipeline = this.redis.pipeline();
    if (settling.length > 0) pipeline.call("XACK", stream, group, ...settling);
    const block = options.wait ? ["BLOCK", blockMs] : [];
    pipeline.callBuffer(
      "XREADGROUP",
      "GROUP",
      group,
      member,
      "COUNT",
      this.size.next,
      ...block,
      "STREAMS",
      stream,
      ">",
    );
    pipeline.call("XPENDING", stream, group);
    const replies = throwFirst(await this.answer(pipeline.exec(), options.wait ? blockMs : 0));
    const entries = toEntries(replies.at(-2));
    if (settling.length > 0) this.held.splice(0, settling.length);
    for (const entry of entries) this.held.push(entry.id);
    this.verifyPending(replies.at(-1));
    this.size.learn(
      entries.length,
      entries.reduce((sum, entry) => sum + entry.bytes, 0),
    );
    return entries;
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
    this.redis.disconnect();
  }

  private verifyPending(summary: unknown): void {
    const { held } = this;
    const { stream, member } = this.options;
    const [count, first, last, consumers] = Array.isArray(summary) ? (summary as unknown[]) : [];
    const listed = Number(count);
    const own = Array.isArray(consumers) ? consumerCounts(consumers) : [];
    const exact =
      listed === held.length &&
      (listed === 0 ||
        (first === held[0] && last === held.at(-1) && own.length === 1 && own[0]?.name === member));
    if (exact) return;
    throw new SluiceError(
      "READ_HOLE",
      `the group has ${listed} entries pending, this member holds ${held.length}`,
      {
        place: { stream },
      },
    );
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

function consumerCounts(reply: unknown[]): { readonly name: string; readonly count: number }[] {
  return reply.map((pair) => {
    const [name, count] = pair as unknown[];
    return { name: String(name), count: Number(count) };
  });
}

/** `[[stream, [[id, [name, value, …]], …]]]`, all Buffers, or null. */
function toEntries(reply: unknown): Entry[] {
  if (!Array.isArray(reply)) return [];
  const [, list] = reply[0] as [Buffer, [Buffer, Buffer[]][]];
  return list.map(([id, fields]) => {
    let bytes = 0;
    for (const field of fields) bytes += field.length;
    return { id: id.toString("latin1"), fields, bytes };
  });
}
