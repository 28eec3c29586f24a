import { expect, it } from "vitest";
import { Chunk } from "../../../src/decode/chunk.ts";
import { entriesOf } from "../../../src/decode/entries.ts";
import { Applier, type ApplierOptions } from "../../../src/sink/applier.ts";
import type { CommitRequest } from "../../../src/sink/committer.ts";

it("says of a batch when its first entry was appended, by which the one that is furthest behind is found", async () => {
  const asked: CommitRequest[] = [];
  const options = {
    committer: {
      commit: (request: CommitRequest) => {
        asked.push(request);
        return Promise.reject(Object.assign(new Error("no database"), { code: "ECONNREFUSED" }));
      },
    },
    lease: { stream: "cdc.0" },
    checkpoint: { id: "1700000000000-0", entries: 0n },
    position: 0n,
  };
  const applier = new Applier(options as unknown as ApplierOptions);
  const entries = entriesOf(["1700000000123-4", "1700000000900-0"].map((id) => ({ id, fields: [] })));
  await expect(applier.apply(new Chunk(entries, () => expect.fail()))).rejects.toThrow();
  expect(asked).toMatchObject([{ stream: "cdc.0", entries: 2, appendedAtMs: 1_700_000_000_123 }]);
});
