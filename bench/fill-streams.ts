import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Redis } from "ioredis";
import { envelopeOf } from "./loads/envelope.ts";
import { idOf, type Load } from "./loads/load.ts";

const rowsPerTransaction = 10;
/** What a row of this size takes in the primary's log, about. */
const logBytesPerRow = 200;
const firstLsn = 24_023_128;

export interface FilledStreams {
  /** Stream → id of its last entry. */
  readonly lastIds: ReadonlyMap<string, string>;
  readonly meanValueBytes: number;
}

/** Appends the load's changes as Debezium would: the key decides the stream, ten rows a transaction. */
export async function fillStreams(
  redisUrl: string,
  streams: readonly string[],
  load: Load,
): Promise<FilledStreams> {
  const redis = new Redis(redisUrl);
  try {
    // The log would be rewritten in the middle of a measurement.
    await redis.config("SET", "auto-aof-rewrite-percentage", "0");
    const bytes = await append(redisUrl, streams, load);
    const lastIds = new Map<string, string>();
    let added = 0;
    for (const stream of streams) {
      added += await redis.xlen(stream);
      const [last] = await redis.xrevrange(stream, "+", "-", "COUNT", 1);
      if (last !== undefined) lastIds.set(stream, last[0]);
    }
    if (added !== load.size) throw new Error(`Redis took ${added} entries of ${load.size}`);
    return { lastIds, meanValueBytes: Math.round(bytes / load.size) };
  } finally {
    redis.disconnect();
  }
}

/** Whatever was measured before is of no concern any more. */
export async function emptyRedis(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl);
  try {
    await redis.flushall();
  } finally {
    redis.disconnect();
  }
}

/** Forgets that anyone has read the streams, so that the next run reads them all. */
export async function forgetReaders(redisUrl: string, streams: readonly string[]): Promise<void> {
  const redis = new Redis(redisUrl);
  try {
    for (const stream of streams) {
      const groups = (await redis.xinfo("GROUPS", stream)) as readonly (readonly unknown[])[];
      for (const group of groups)
        await redis.xgroup("DESTROY", stream, String(group[group.indexOf("name") + 1]));
    }
  } finally {
    redis.disconnect();
  }
}

/** Written to the socket as it is: a client library takes longer to build these commands than Redis to execute them. */
async function append(redisUrl: string, streams: readonly string[], load: Load): Promise<number> {
  const { socket, finished } = openSocket(redisUrl);
  const atMs = Date.now();
  let bytes = 0;
  let index = 0;
  let commands: string[] = [];
  for (const change of load.changes()) {
    const transaction = Math.floor(index / rowsPerTransaction);
    const position = {
      lsn: firstLsn + index * logBytesPerRow,
      lastCommitLsn: firstLsn + (transaction * rowsPerTransaction - 1) * logBytesPerRow,
      transactionId: 1000 + transaction,
      committedAtMs: atMs,
    };
    const value = envelopeOf(change, position);
    bytes += Buffer.byteLength(value);
    commands.push(appendCommand(streamOf(streams, idOf(change.row)), idOf(change.row), value));
    if (++index % 500 === 0) {
      if (!socket.write(commands.join(""))) await once(socket, "drain");
      commands = [];
    }
  }
  socket.write(`${commands.join("")}*1\r\n$4\r\nPING\r\n`);
  await finished;
  return bytes;
}

/** The same key always gives the same stream, and neighbours give different ones. */
export function streamOf(streams: readonly string[], id: number): string {
  const mixed = Math.imul(id, 0x9e3779b1) >>> 0;
  return streams[((mixed ^ (mixed >>> 15)) >>> 0) % streams.length] ?? "";
}

/** XADD of an entry in Debezium's extended format. */
export function appendCommand(stream: string, id: number, value: string): string {
  const key = `{"id":${id}}`;
  return (
    `*7\r\n$4\r\nXADD\r\n$${stream.length}\r\n${stream}\r\n$1\r\n*\r\n$3\r\nkey\r\n$${key.length}\r\n${key}\r\n` +
    `$5\r\nvalue\r\n$${Buffer.byteLength(value)}\r\n${value}\r\n`
  );
}

/** `finished` waits for the answer to a PING. Refused commands are found by counting the entries. */
function openSocket(redisUrl: string): { readonly socket: Socket; readonly finished: Promise<void> } {
  const url = new URL(redisUrl);
  const socket = connect({ host: url.hostname, port: Number(url.port) });
  const finished = new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    let end = "";
    socket.on("data", (chunk) => {
      end = (end + chunk.subarray(-16).toString("latin1")).slice(-16);
      if (!end.endsWith("+PONG\r\n")) return;
      socket.destroy();
      resolve();
    });
  });
  return { socket, finished };
}
