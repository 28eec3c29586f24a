import { expect, test } from "vitest";
import { BufferPool } from "../../../src/source/buffer-pool.ts";

test("a buffer that several hold is used again when all have given it back", () => {
  const pool = new BufferPool(1);
  const buffer = pool.take(10);
  pool.share(buffer, 3);
  for (const _ of [1, 2]) {
    pool.giveBack(buffer);
    expect(pool.take(10)).not.toBe(buffer);
  }
  pool.giveBack(buffer);
  expect(pool.take(10)).toBe(buffer);
  // It has one holder again.
  pool.giveBack(buffer);
  expect(pool.take(10)).toBe(buffer);
});

test.each([0, 1])("a buffer that %i hold needs no more than one to give it back", (holders) => {
  const pool = new BufferPool(1);
  const buffer = pool.take(10);
  pool.share(buffer, holders);
  if (holders === 1) pool.giveBack(buffer);
  expect(pool.take(10)).toBe(buffer);
});
