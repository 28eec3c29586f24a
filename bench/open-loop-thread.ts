import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setPriority } from "node:os";
import { setImmediate as immediate } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { appendCommand, streamOf } from "./fill-streams.ts";
import { envelopeOf } from "./loads/envelope.ts";
import { insertLoad } from "./loads/insert.ts";
import { idOf } from "./loads/load.ts";
import { nowMs, type OpenLoop, type Sent } from "./open-loop.ts";

/** What is due in each millisecond, ready to be written. As bytes at once: all of it as strings would fill the heap. */
function makeBursts({ streams, entriesPerSecond, entries }: OpenLoop): Buffer[] {
  const bursts: Buffer[] = [];
  let burst: string[] = [];
  const end = (): void => {
    bursts.push(Buffer.from(burst.join("")));
    burst = [];
  };
  for (const change of insertLoad(entries).changes()) {
    const id = idOf(change.row);
    const position = {
      lsn: 24_023_128 + id * 200,
      lastCommitLsn: 24_023_128 + (id - 1) * 200,
      transactionId: id,
      committedAtMs: Date.now(),
    };
    const dueMs = Math.floor(((id - 1) * 1000) / entriesPerSecond);
    while (bursts.length < dueMs) end();
    burst.push(appendCommand(streamOf(streams, id), id, envelopeOf(change, position)));
  }
  end();
  return bursts;
}

/** Writes every burst at its time, or as soon as it can. Returns when the first was due. */
async function sendBursts(socket: Socket, bursts: readonly Buffer[]): Promise<number> {
  const startedAt = nowMs() + 100;
  for (let next = 0; next < bursts.length;) {
    const due = Math.min(bursts.length, Math.floor(nowMs() - startedAt) + 1);
    for (; next < due; next++) socket.write(bursts[next] ?? "");
    // Lets the socket do what is left of it, and take in the answers.
    await immediate();
    waitUntil(startedAt + next);
  }
  return startedAt;
}

const dollar = 0x24;
const dash = 0x2d;
const lineEnd = 0x0a;
/** `$19`, a line end, an id of nineteen characters such as `1795760404123-12345`, a line end; and some more. */
const replyBytes = 32;
const pong = "+PONG\r\n";

/**
 * Redis's answers up to that to PING, as they came: they are looked at when all has been sent. Answers that are too long for what is kept, as
 * refusals are, end it too, as does the end of the connection.
 */
function collectReplies(socket: Socket, entries: number): Promise<Buffer> {
  const kept = Buffer.allocUnsafe(entries * replyBytes + pong.length);
  let end = 0;
  return new Promise((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      end += chunk.copy(kept, end);
      const isFull = end === kept.length;
      if (isFull || kept.toString("latin1", Math.max(0, end - pong.length), end) === pong)
        resolve(kept.subarray(0, end));
    });
    socket.once("close", () => resolve(kept.subarray(0, end)));
  });
}

/** From the ids in the answers. */
function appendTimes(replies: Buffer, entries: number): Float64Array<ArrayBuffer> {
  const times = new Float64Array(entries);
  let from = 0;
  for (let index = 0; index < entries; index++) {
    if (replies[from] !== dollar)
      throw new Error(
        `no id from Redis for entry ${index + 1}: ${replies.toString("latin1", from, from + 200)}`,
      );
    const id = replies.indexOf(lineEnd, from) + 1;
    times[index] = Number(replies.toString("latin1", id, replies.indexOf(dash, id)));
    from = replies.indexOf(lineEnd, id) + 1;
  }
  return times;
}

const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Without a timer of the event loop, which would be late by a millisecond. */
function waitUntil(timeMs: number): void {
  Atomics.wait(nobody, 0, 0, Math.max(0, timeMs - nowMs()));
}

/** This thread's alone: what makes the load is to be on time, whoever else wants the processor. */
function comeFirst(): void {
  try {
    setPriority(-10);
  } catch {
    // Only root may.
  }
}

const load = workerData as OpenLoop;
const bursts = makeBursts(load);
const url = new URL(load.redisUrl);
const path = url.searchParams.get("path");
const socket = connect(
  path === null ? { host: url.hostname, port: Number(url.port), noDelay: true } : { path },
);
await once(socket, "connect");
parentPort?.postMessage("ready");
comeFirst();
parentPort?.once("message", () => void sendAll());

async function sendAll(): Promise<void> {
  const replies = collectReplies(socket, load.entries);
  const startedAt = await sendBursts(socket, bursts);
  socket.write("*1\r\n$4\r\nPING\r\n");
  const appendedAt = appendTimes(await replies, load.entries);
  socket.destroy();
  parentPort?.postMessage({ startedAt, appendedAt } satisfies Sent, [appendedAt.buffer]);
}
