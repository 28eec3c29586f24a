import { once } from "node:events";
import { Worker } from "node:worker_threads";

export interface OpenLoop {
  readonly redisUrl: string;
  readonly streams: readonly string[];
  readonly entriesPerSecond: number;
  /** How many in all. */
  readonly entries: number;
}

/** The thread has made its entries and is connected. */
export interface Sender extends Disposable {
  /** Sends all of them, each when it is due. */
  send(): Promise<Sent>;
}

export interface Sent {
  /** When the first was due, on `nowMs`'s clock. */
  readonly startedAt: number;
  /** When Redis appended each of them, by the entry's id: whole milliseconds since 1970. */
  readonly appendedAt: Float64Array;
}

/** Entries of inserts, ready to be sent by a thread of its own: this one's work must not make them late. */
export async function prepareOpenLoop(load: OpenLoop): Promise<Sender> {
  const thread = new Worker(new URL("./open-loop-thread.ts", import.meta.url), { workerData: load });
  await once(thread, "message");
  return {
    send: async () => {
      thread.postMessage("send");
      const [sent] = (await once(thread, "message")) as [Sent];
      return sent;
    },
    [Symbol.dispose]: () => void thread.terminate(),
  };
}

/** Milliseconds since 1970, finer than Date.now(), and the same in all threads. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
