import { setImmediate as immediate } from "node:timers/promises";
import type pg from "pg";
import { expect, it } from "vitest";
import { Committer, type CommitRequest } from "../../../src/sink/committer.ts";
import type { ShardBatch } from "../../../src/sink/batch-transaction.ts";

const batch = { move: {}, segments: [] } as unknown as ShardBatch;

function requestOf(stream: string): CommitRequest {
  const entries = { entries: 1, bytes: 1, alone: false };
  return { stream, ...entries, begun: () => undefined, prepare: () => Promise.resolve(batch) };
}

/** Each of its transactions fails at once. */
function committerOf(more: { readonly moreComes?: () => boolean } = {}): {
  readonly committer: Committer;
  readonly transactions: () => number;
} {
  let connected = 0;
  const pool = {
    connect: () => {
      connected++;
      return Promise.reject(new Error("no database"));
    },
  } as unknown as pg.Pool;
  const shards = { move: () => expect.fail(), moving: () => expect.fail() };
  const limits = { connections: 4, mostEntries: 1000, mostBytes: 1e6 };
  return { committer: new Committer({ pool, shards, ...limits, ...more }), transactions: () => connected };
}

it("batches that are ready in the same turn of the event loop share a transaction", async () => {
  const { committer, transactions } = committerOf();
  const first = committer.commit(requestOf("cdc.0"));
  // As if another shard's reply was read behind the first one's.
  await Promise.resolve();
  const second = committer.commit(requestOf("cdc.1"));
  await expect(first).rejects.toThrow("no database");
  await expect(second).rejects.toThrow("no database");
  expect(transactions()).toBe(1);
});

it("a small batch waits for those that are on their way", async () => {
  let comes = true;
  const { committer, transactions } = committerOf({ moreComes: () => comes });
  const first = committer.commit(requestOf("cdc.0"));
  await immediate();
  const second = committer.commit(requestOf("cdc.1"));
  comes = false;
  committer.wake();
  await Promise.allSettled([first, second]);
  expect(transactions()).toBe(1);
});

it("a small batch waits for no longer than a moment, and a large one not at all", async () => {
  const { committer, transactions } = committerOf({ moreComes: () => true });
  await expect(committer.commit(requestOf("cdc.0"))).rejects.toThrow("no database");
  const large = Promise.allSettled([committer.commit({ ...requestOf("cdc.1"), entries: 300 })]);
  // Before any timer.
  await immediate();
  expect(transactions()).toBe(2);
  await large;
});
