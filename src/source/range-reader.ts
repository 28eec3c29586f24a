import type { Redis } from "ioredis";
import { BufferPool } from "./buffer-pool.ts";
import { entriesOf, type Entries } from "../decode/entries.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { openRedis, redisUnavailable } from "./connect.ts";
import { readEntries } from "./read-entries.ts";
import { ReadSize } from "./read-size.ts";
import { trimmedStart } from "./entry-range.ts";
import { command, ReplyChannel } from "./reply-channel.ts";
import { ReplyCursor } from "./reply-scanner.ts";
import { extentOf, readStreamExtent, type StreamExtent } from "./stream-extent.ts";

export interface RangeReaderOptions {
  readonly url: string;
  /** Of the connection. */
  readonly name: string;
  readonly stream: string;
  /** Both inclusive. */
  readonly from: string;
  readonly to: string;
  /** The entry `from` was seen in the stream. */
  readonly fromSeen: boolean;
  /** The stream is known to have been there. */
  readonly existed: boolean;
  readonly maxEntries: number;
  readonly targetBytes: number;
}

export interface RangeChunk {
  /** In order; empty at the range's end. */
  readonly entries: Entries;
  /** Entries from some place on were, or may have been, removed before they were read. */
  readonly gap: RangeGap | undefined;
}

export interface RangeGap {
  /** The first entry that is missing, or the range's beginning. */
  readonly missing: string;
  /** The first that is left of the range; undefined: none. */
  readonly firstLeft: string | undefined;
}

const answerMs = 5_000;

/**
 * Reads a range of a stream, chunk by chunk, beside whoever reads it as a group: no group's state is read or changed. Each read asks
 * for one entry more than it gives, and the next one must begin with that very entry. Since streams are trimmed from their
 * beginning, all behind it are then there too; when it is gone, what was lost begins with it (I8). The first read has no such entry
 * yet: what the stream holds, asked for right behind it, tells whether the range's beginning was still there.
 *
 * After a failure the next read goes on at the same place, on a new connection.
 */
export class RangeReader {
  private readonly options: RangeReaderOptions;
  private readonly size: ReadSize;
  private redis: Redis | undefined;
  private channel: ReplyChannel | undefined;
  private next: string;
  /** `next` was seen in the stream. */
  private expected: boolean;
  private begun = false;
  private ended = false;

  constructor(options: RangeReaderOptions) {
    this.options = options;
    this.size = new ReadSize(options);
    this.next = options.from;
    this.expected = options.fromSeen;
  }

  async read(): Promise<RangeChunk> {
    if (this.ended) return { entries: entriesOf([]), gap: undefined };
    const { stream, to } = this.options;
    const count = this.size.next;
    try {
      this.channel ??= await this.connect();
      const asked = command("XRANGE", stream, this.next, to, "COUNT", count + 1);
      const looks = !this.begun && !this.expected;
      const also = looks ? command("XINFO", "STREAM", stream) : "";
      const replies = new ReplyCursor(await this.channel.exchange(asked + also, looks ? 2 : 1, answerMs));
      const refusal = replies.error();
      if (refusal !== undefined) throw refused(refusal);
      const found = readEntries(replies);
      const first = found.length === 0 ? undefined : found.idOf(0);
      const gap = looks ? this.gapAtStart(first, extentIn(replies)) : this.gapBefore(first);
      return this.take(found, count, gap);
    } catch (error) {
      this.close();
      throw error instanceof SluiceError ? error.at({ stream }) : redisUnavailable(error).at({ stream });
    }
  }

  close(): void {
    this.channel?.close();
    this.redis?.disconnect();
    this.channel = undefined;
  }

  private gapBefore(firstLeft: string | undefined): RangeGap | undefined {
    return this.expected && firstLeft !== this.next ? { missing: this.next, firstLeft } : undefined;
  }

  /** By what the stream held after the read: what is still there then was there before. */
  private gapAtStart(firstLeft: string | undefined, extent: StreamExtent | undefined): RangeGap | undefined {
    const { from, existed } = this.options;
    const trimmed = trimmedStart(from, extent, existed);
    return trimmed && { missing: from, firstLeft };
  }

  private take(found: Entries, count: number, gap: RangeGap | undefined): RangeChunk {
    this.size.learn(found.length, found.bytesOf());
    this.begun = true;
    this.expected = found.length > count;
    this.ended = !this.expected;
    if (this.ended) return { entries: found, gap };
    this.next = found.idOf(count);
    return { entries: found.slice(0, count), gap };
  }

  private async connect(): Promise<ReplyChannel> {
    this.redis = await openRedis(this.options);
    return new ReplyChannel(this.redis, new BufferPool(0));
  }
}

/** What each of the streams holds; undefined for those that do not exist. */
export async function readExtents(
  redis: { readonly url: string; readonly name: string },
  streams: readonly string[],
): Promise<ReadonlyMap<string, StreamExtent | undefined>> {
  const client = await openRedis(redis);
  // A client whose connection hangs never settles its promises.
  const cut = setTimeout(() => client.disconnect(), answerMs);
  const extents = new Map<string, StreamExtent | undefined>();
  try {
    for (const stream of streams) {
      extents.set(stream, await readStreamExtent(client, stream));
      cut.refresh();
    }
    return extents;
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "ReplyError") throw redisUnavailable(error);
    throw new SluiceError("REDIS_REPLY", `Redis answered: ${error.message}`, { cause: error });
  } finally {
    clearTimeout(cut);
    client.disconnect();
  }
}

/** Of the reply of XINFO STREAM; undefined when there is no such key. */
function extentIn(replies: ReplyCursor): StreamExtent | undefined {
  const text = replies.error();
  if (text === undefined) return extentOf(replies.value());
  if (text.includes("no such key")) return undefined;
  throw refused(text);
}

function refused(text: string): SluiceError {
  return new SluiceError("REDIS_REPLY", `Redis answered: ${text}`);
}
