import type { Redis } from "ioredis";
import type { BufferPool } from "./buffer-pool.ts";
import { redisUnavailable } from "./connect.ts";
import { receive, sharedRoom, type Receiver } from "./receiving-socket.ts";
import { ReplyScanner } from "./reply-scanner.ts";

/**
 * Commands and replies on the socket of a connection that ioredis made, which brings addresses, TLS, authentication and the
 * choice of database; from then on the socket belongs to the channel. ioredis's own decoder makes a Buffer of each field, which
 * costs more than everything else that reading an entry costs.
 *
 * One exchange at a time. Throws ReplyTooLarge beyond `mostBytes`. After any failure the channel is of no use: what was asked may still be answered.
 */
export class ReplyChannel implements Receiver {
  private readonly redis: Redis;
  private scanner: ReplyScanner | undefined;
  private settle: PromiseWithResolvers<ReplyScanner> | undefined;
  private lastSize = 0;
  private tokens: Float64Array | undefined;
  private mostBytes = Infinity;
  private readonly buffers: Pick<BufferPool, "take">;
  private failure: Error | undefined;
  /** What the socket writes to next is the scanner's own memory. */
  private isDirect = false;
  /** Goes on when an exchange has ended, and says nothing then: a new one for each would cost more than what it watches. */
  private silence: NodeJS.Timeout | undefined;
  private silenceMs = 0;

  constructor(redis: Redis, buffers: Pick<BufferPool, "take">) {
    this.redis = redis;
    this.buffers = buffers;
    const socket = redis.stream;
    const others = socket.listeners("data");
    socket.on("data", (chunk: Buffer) => this.take((scanner) => scanner.push(chunk)));
    for (const listener of others) socket.off("data", listener as (chunk: Buffer) => void);
    receive(socket, this);
    redis.once("close", () => this.fail(redisUnavailable(new Error("the connection was closed"))));
  }

  /** Sends commands (see `command`) and resolves with their replies. Rejects when nothing comes for so long, or the connection ends. */
  exchange(
    commands: string,
    replies: number,
    timeoutMs: number,
    mostBytes = Infinity,
  ): Promise<ReplyScanner> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.mostBytes = mostBytes;
    // Whoever asks again has read the answer before.
    this.scanner = new ReplyScanner(replies, this.buffers.take(this.lastSize + 4096), this.tokens);
    this.settle = Promise.withResolvers<ReplyScanner>();
    this.watch(timeoutMs);
    this.redis.stream.write(commands);
    return this.settle.promise;
  }

  private watch(timeoutMs: number): void {
    if (this.silence !== undefined && this.silenceMs === timeoutMs) {
      this.silence.refresh();
      return;
    }
    clearTimeout(this.silence);
    this.silenceMs = timeoutMs;
    this.silence = setTimeout(() => {
      if (this.settle !== undefined) this.fail(redisUnavailable(new Error("no answer in time")));
    }, timeoutMs);
  }

  close(): void {
    this.fail(redisUnavailable(new Error("the connection was closed")));
  }

  /** Where the rest of a reply goes; its beginning, and what nobody asked for, is received before anybody can say where to. */
  room(): Buffer {
    const room = this.scanner?.room();
    this.isDirect = room !== undefined;
    return room ?? sharedRoom;
  }

  received(bytes: number): void {
    if (this.isDirect) this.take((scanner) => scanner.filled(bytes));
    else this.take((scanner) => scanner.push(sharedRoom.subarray(0, bytes)));
  }

  private take(feed: (scanner: ReplyScanner) => boolean): void {
    const { scanner, settle } = this;
    if (scanner === undefined || settle === undefined) return;
    // Large entries over a slow link take their time; silence is what counts.
    this.silence?.refresh();
    try {
      const whole = feed(scanner);
      if (scanner.size > this.mostBytes) {
        this.fail(new ReplyTooLarge(scanner.size));
        return;
      }
      if (!whole) return;
    } catch (error) {
      this.fail(redisUnavailable(error));
      return;
    }
    this.scanner = undefined;
    this.settle = undefined;
    this.lastSize = scanner.size;
    if (scanner.ownsTokens) this.tokens = scanner.tokens;
    settle.resolve(scanner);
  }

  private fail(error: Error): void {
    this.failure ??= error;
    clearTimeout(this.silence);
    this.settle?.reject(this.failure);
    this.settle = undefined;
    this.scanner = undefined;
    this.redis.disconnect();
    // What still comes would be written to memory that is somebody else's by then.
    this.redis.stream.destroy();
  }
}

/** The rest of the reply is not taken in. */
export class ReplyTooLarge extends Error {
  constructor(bytes: number) {
    super(`the reply has more than ${bytes} bytes`);
  }
}

/** A command on the wire. */
export function command(...parts: readonly (string | number)[]): string {
  return commandHead(parts.length, ...parts);
}

/** The beginning of a command of so many parts; the others follow it as bulks. */
export function commandHead(length: number, ...parts: readonly (string | number)[]): string {
  return `*${length}\r\n${parts.map((part) => bulk(String(part))).join("")}`;
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

/** A part of a command that has no characters but those of ASCII. */
export function plainBulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}
