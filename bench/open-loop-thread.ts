import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setPriority } from "node:os";
import { setImmediate as immediate } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { appendCommand, streamOf } from "./fill-streams.ts";
import { envelopeOf } from "./loads/envelope.ts";
import { insertLoad } from "./loads/insert.ts";
import { idOf } from "./loads/load.ts";
import { nowMs, type OpenLoop } from "./open-loop.ts";

/** What is due in each millisecond, ready to be written. */
function makeBursts({ streams, entriesPerSecond, entries }: OpenLoop): Buffer[] {
  const bursts: string[][] = [];
  for (const change of insertLoad(entries).changes()) {
    const id = idOf(change.row);
    const position = {
      lsn: 24_023_128 + id * 200,
      lastCommitLsn: 24_023_128 + (id - 1) * 200,
      transactionId: id,
      committedAtMs: Date.now(),
    };
    const dueMs = Math.floor(((id - 1) * 1000) / entriesPerSecond);
    (bursts[dueMs] ??= []).push(appendCommand(streamOf(streams, id), id, envelopeOf(change, position)));
  }
  return Array.from(bursts, (burst) => Buffer.from((burst ?? []).join("")));
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
socket.resume();
parentPort?.postMessage("ready");
comeFirst();
parentPort?.once("message", () => {
  void sendBursts(socket, bursts).then((startedAt) => {
    socket.end();
    parentPort?.postMessage(startedAt);
  });
});
