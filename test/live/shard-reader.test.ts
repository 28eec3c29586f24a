import { expect, inject, it } from "vitest";
import { BufferPool } from "../../src/source/buffer-pool.ts";
import { ReadTurns } from "../../src/source/read-turns.ts";
import { ShardReader } from "../../src/source/shard-reader.ts";
import { createStreamPrefix } from "../support/stream-prefix.ts";

class CountedTurns extends ReadTurns {
  taken = 0;

  override take<T>(read: () => Promise<T>): Promise<T> {
    this.taken++;
    return super.take(read);
  }
}

it("reads take turns, but for those that wait: they would keep the others' turns from them", async () => {
  const url = inject("redisUrl");
  await using prefix = createStreamPrefix(url);
  const [stream = ""] = prefix.streams(1);
  const turns = new CountedTurns();
  const reader = await ShardReader.open({
    ...{ url, stream, group: "sluice", member: "member" },
    ...{ maxEntries: 1, targetBytes: 10_000, blockMs: 10, buffers: new BufferPool(1), turns },
  });
  using _reader = { [Symbol.dispose]: () => reader.close() };
  await reader.rewind({ id: undefined, entries: 0n });
  await reader.read({ wait: true });
  expect(turns.taken).toBe(0);
  await reader.read({ wait: false });
  expect(turns.taken).toBe(1);
});
