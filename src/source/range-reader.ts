import type { Redis } from "ioredis";
import { BufferPool } from "./buffer-pool.ts";
import type { Entry } from "../decode/entry.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { openRedis, redisUnavailable } from "./connect.ts";
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
  readonly entries: readonly Entry[];
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
    if (this.ended) return { entries: [], gap: undefined };
    const { stream, to } = this.options;
    const count = this.size.next;
    try {
      this.channel ??= await this.connect();
      const asked = command("XRANGE", stream, this.next, to, "COUNT", count + 1);
      const looks = !this.begun && !this.expected;
      const also = looks ? command("XINFO", "STREAM", stream) : "";
      const replies = new ReplyCursor(await this.channel.exchange(asked + also, looks ? 2 : 1, answerMs));
      const found = entriesOf(replies);
      const gap = looks ? this.gapAtStart(found[0]?.id, extentIn(replies)) : this.gapBefore(found[0]?.id);
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

  private take(found: readonly Entry[], count: number, gap: RangeGap | undefined): RangeChunk {
    const following = found[count];
    this.size.learn(
      found.length,
      found.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    this.begun = true;
    this.expected = following !== undefined;
    this.ended = following === undefined;
    this.next = following?.id ?? this.next;
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

/** `[[id, [name, value, …]], …]` */
function entriesOf(reply: ReplyCursor): Entry[] {
  const text = reply.error();
  if (text !== undefined) throw refused(text);
  const count = reply.array();
  const { bytes: buffer } = reply;
  const entries: Entry[] = [];
  for (let index = 0; index < count; index++) {
    reply.array();
    reply.bulk();
    const id = buffer.toString("latin1", reply.start, reply.end);
    const fields = reply.array();
    const spans: number[] = [];
    let bytes = 0;
    for (let field = 0; field < fields; field++) {
      reply.bulk();
      spans.push(reply.start, reply.end);
      bytes += reply.end - reply.start;
    }
    entries.push({ id, buffer, spans, bytes });
  }
  return entries;
}
