import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Operation } from "../../../src/change/change.ts";
import { LogOrder } from "../../../src/decode/log-order.ts";

const table = { schema: "public", table: "t", id: "public.t" };

interface Committed {
  readonly op?: Operation;
  readonly commitLsn: number;
  readonly committedAtMs: number;
}

function admitAll(order: LogOrder, changes: readonly Committed[]): void {
  for (const change of changes) order.admit({ op: "u", ...change, table });
}

/** Transactions in the order of one primary's commits: neither place nor time falls. */
const log = fc
  .array(fc.record({ bytes: fc.nat({ max: 1000 }), ms: fc.nat({ max: 1000 }) }), {
    minLength: 1,
    maxLength: 50,
  })
  .map((steps) => {
    let [commitLsn, committedAtMs] = [1_000, 1_700_000_000_000];
    return steps.map(({ bytes, ms }) => ({
      commitLsn: (commitLsn += bytes),
      committedAtMs: (committedAtMs += ms),
    }));
  });

describe("LogOrder", () => {
  it("takes what is sent again after a crash, from wherever, for what it is", () => {
    fc.assert(
      fc.property(log, fc.array(fc.nat(), { maxLength: 5 }), (changes, crashes) => {
        const order = new LogOrder({ commitLsn: 0, committedAtMs: 0 });
        admitAll(order, changes);
        for (const crash of crashes) admitAll(order, changes.slice(crash % changes.length));
      }),
    );
  });

  it("refuses the first later commit from an earlier place", () => {
    fc.assert(
      fc.property(log, fc.nat({ max: 999 }), fc.integer({ min: 1, max: 1e9 }), (changes, commitLsn, ms) => {
        const order = new LogOrder({ commitLsn: 0, committedAtMs: 0 });
        admitAll(order, changes);
        const last = changes.at(-1)?.committedAtMs ?? 0;
        expect(() => admitAll(order, [{ commitLsn, committedAtMs: last + ms }])).toThrow(
          expect.objectContaining({ code: "PRIMARY_REWOUND" }),
        );
      }),
    );
  });

  it("takes the first transaction after a snapshot, and still notices that it was a restored primary's", () => {
    const order = new LogOrder({ commitLsn: 0, committedAtMs: 0 });
    admitAll(order, [
      { op: "r", commitLsn: 500, committedAtMs: 1_000 },
      { commitLsn: 500, committedAtMs: 1_005 },
    ]);
    expect(() => admitAll(order, [{ commitLsn: 499, committedAtMs: 1_005 }])).toThrow("earlier in the log");
  });

  it("goes on from what was applied before a restart", () => {
    const order = new LogOrder({ commitLsn: 500, committedAtMs: 100 });
    expect(() => admitAll(order, [{ commitLsn: 499, committedAtMs: 101 }])).toThrow("earlier in the log");
    admitAll(order, [{ commitLsn: 499, committedAtMs: 100 }]);
  });
});
