import type pg from "pg";
import { expect, it } from "vitest";
import { Committer, type CommitRequest } from "../../../src/sink/committer.ts";
import type { ShardBatch } from "../../../src/sink/batch-transaction.ts";

const batch = { move: {}, segments: [] } as unknown as ShardBatch;

function requestOf(stream: string): CommitRequest {
  const entries = { entries: 1, bytes: 1, alone: false };
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
  const committer = new Committer({ pool, shards, connections: 4, mostEntries: 1000, mostBytes: 1e6 });
  const first = committer.commit(requestOf("cdc.0"));
  // As if another shard's reply was read behind the first one's.
  await Promise.resolve();
  const second = committer.commit(requestOf("cdc.1"));
  await expect(first).rejects.toThrow("no database");
  await expect(second).rejects.toThrow("no database");
  expect(connected).toBe(1);
});
