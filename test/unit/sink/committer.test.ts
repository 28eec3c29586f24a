import type pg from "pg";
import fc from "fast-check";
import { expect, it, vi } from "vitest";
import { batchesOfTransaction, Committer, type CommitRequest } from "../../../src/sink/committer.ts";
import type { ShardBatch } from "../../../src/sink/batch-transaction.ts";

const batch = { move: {}, segments: [] } as unknown as ShardBatch;

function requestOf(stream: string, count = 1, bytes = 1): CommitRequest {
  const entries = { entries: count, bytes, appendedAtMs: 0, alone: false };
  return { stream, ...entries, begun: () => undefined, prepare: () => Promise.resolve(batch) };
}

it("batches that are ready in the same turn of the event loop share a transaction", async () => {
  let connected = 0;
  const pool = {
    connect: () => {
      connected++;
      return Promise.reject(new Error("no database"));
    },
  } as unknown as pg.Pool;
  const shards = { move: () => expect.fail(), moving: () => expect.fail() };
  const committer = new Committer({ pool, shards, connections: 4, mostEntries: () => 1000, mostBytes: 1e6 });
  const first = committer.commit(requestOf("cdc.0"));
  // As if another shard's reply was read behind the first one's.
  await Promise.resolve();
  const second = committer.commit(requestOf("cdc.1"));
  await expect(first).rejects.toThrow("no database");
  await expect(second).rejects.toThrow("no database");
  expect(connected).toBe(1);
});

it("beside another transaction one begins with half of what it takes, or after five milliseconds", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "performance"] });
  try {
    let connected = 0;
    const connect = (): Promise<never> => {
      connected++;
      return new Promise(() => undefined);
    };
    const pool = { connect } as unknown as pg.Pool;
    const shards = { move: () => expect.fail(), moving: () => expect.fail() };
    const committer = new Committer({
      ...{ pool, shards, connections: 4 },
      ...{ mostEntries: () => 1000, mostBytes: 1e6 },
    });
    const commit = async (stream: string, entries: number, bytes = 1): Promise<number> => {
      void committer.commit(requestOf(stream, entries, bytes));
      await vi.advanceTimersByTimeAsync(0);
      return connected;
    };
    expect(await commit("cdc.0", 1)).toBe(1);
    expect(await commit("cdc.1", 250)).toBe(1);
    expect(await commit("cdc.2", 250)).toBe(2);
    expect(await commit("cdc.3", 1, 5e5)).toBe(3);
    expect(await commit("cdc.4", 400, 4e5)).toBe(3);
    await vi.advanceTimersByTimeAsync(4);
    // What comes meanwhile does not put it off.
    expect(await commit("cdc.5", 1)).toBe(3);
    await vi.advanceTimersByTimeAsync(1);
    expect(connected).toBe(4);
  } finally {
    vi.useRealTimers();
  }
});

it("takes more into a transaction the more there is at hand, and leaves half of it for the next ones", () => {
  expect([4, 16, 24, 32, 512].map((atHand) => batchesOfTransaction(atHand, 4))).toEqual([2, 2, 3, 4, 4]);
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1_000, noNaN: true }),
      fc.integer({ min: 1, max: 64 }),
      (atHand, connections) => {
        const batches = batchesOfTransaction(atHand, connections);
        expect(batches === 2 || batches * connections <= atHand / 2).toBe(true);
        expect(batches).toBeGreaterThanOrEqual(2);
        expect(batches).toBeLessThanOrEqual(4);
      },
    ),
  );
});
