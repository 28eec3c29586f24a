import { describe, expect, it } from "vitest";
import { Decoder } from "../../../src/decode/decode-chunk.ts";
import { Positions } from "../../../src/decode/positions.ts";
import { entriesOf } from "../../../src/decode/entries.ts";

const source = {
  schema: "public",
  table: "users",
  lsn: 123,
  sequence: '["100","123"]',
  ts_ms: 1_700_000_000_000,
};

type Entry = Parameters<typeof entriesOf>[0][number];

function entry(named: Readonly<Record<string, unknown>>, id = "1-1"): Entry {
  const fields = Object.entries(named).flatMap(([name, value]) => [
    Buffer.from(name),
    Buffer.from(typeof value === "string" ? value : JSON.stringify(value)),
  ]);
  return { id, fields };
}

function decode(...entries: Entry[]): ReturnType<Decoder["decode"]> {
  const decoder = new Decoder({
    stream: "cdc.0",
    nullKey: "default",
    includes: (_, table) => table !== "excluded",
    base: undefined,
    positions: new Positions({ snapshotPosition: 0n, commitLsn: 0 }),
  });
  return decoder.decode(entriesOf(entries));
}

describe("Decoder", () => {
  it("gives the change's table, key, position and the raw bytes of `after`", () => {
    const value = `{"before":null,"after":{"id":9223372036854775807,"n":1.10},"source":${JSON.stringify(source)},"op":"c","ts_ms":1}`;
    const { changes } = decode(entry({ key: { id: 1 }, value }));
    expect(changes).toHaveLength(1);
    expect(changes[0]).toMatchObject({
      op: "c",
      key: '{"id":1}',
      position: 123n,
      committedAtMs: 1_700_000_000_000,
    });
    expect(changes[0]?.table.id).toBe("public.users");
    expect(changes[0]?.image?.toString()).toBe('{"id":9223372036854775807,"n":1.10}');
  });

  it("refuses a key that only the bytes behind it would make whole", () => {
    const value = { after: { id: 1 }, source, op: "c" };
    const { changes, failure } = decode(entry({ key: '{"id":1', "}": "", value }));
    expect(changes).toEqual([]);
    expect(failure?.code).toBe("ENTRY_NOT_DEBEZIUM");
  });

  it("gives images with the same columns one shape and others another", () => {
    const rows = [
      { id: 1, a: 1 },
      { id: 2, a: "x" },
      { id: 1, b: 1 },
      { a: 1, id: 1 },
    ];
    const { changes } = decode(
      ...rows.map((after) => entry({ key: { id: 1 }, value: { after, source, op: "c" } })),
    );
    const [first, second, third, fourth] = changes.map(({ form }) => form.shape);
    expect(second).toBe(first);
    expect(new Set([first, third, fourth]).size).toBe(3);
  });

  it("tells one column named a,b from the columns a and b", () => {
    const rows = [
      { "a,b": 1, c: 1 },
      { a: 1, "b,c": 1 },
      { a: 1, b: 1, c: 1 },
    ];
    const { changes } = decode(
      ...rows.map((after) => entry({ key: { id: 1 }, value: { after, source, op: "c" } })),
    );
    expect(new Set(changes.map(({ form }) => form.shape)).size).toBe(3);
  });

  it("tells keys apart by all their names, and not by their values", () => {
    const keys = [{ a: 1, b: 2 }, { a: 3, b: "x" }, { a: 1, c: 2 }, { a: 1 }];
    const { changes } = decode(
      ...keys.map((key) => entry({ key, value: { after: { a: 1 }, source, op: "u" } })),
    );
    const [first, second, third, fourth] = changes.map(({ form }) => form.keyShape);
    expect(second).toBe(first);
    expect(new Set([first, third, fourth]).size).toBe(3);
  });

  it("gives a change of a key and columns met before the form that it had, and the commit of its transaction", () => {
    const value = { after: { id: 1 }, source, op: "u" };
    const next = { ...value, source: { ...source, sequence: '["101","123"]' } };
    const [first, again, later, gone] = decode(
      entry({ key: { id: 1 }, value }),
      entry({ key: { id: 2 }, value }),
      entry({ key: { id: 1 }, value: next }),
      entry({ key: { id: 1 }, value: { ...value, after: null, op: "d" } }),
    ).changes;
    expect(again?.form).toBe(first?.form);
    expect(later?.form).toBe(first?.form);
    expect(gone?.form).not.toBe(first?.form);
    expect([again?.commitLsn, later?.commitLsn]).toEqual([100, 101]);
    expect(again?.commit).toBe(first?.commit);
  });

  it("keeps a position above 2^53 exact", () => {
    const value = `{"after":{"id":1},"source":{"schema":"s","table":"t","lsn":9223372036854775807},"op":"r"}`;
    expect(decode(entry({ key: { id: 1 }, value })).changes[0]?.position).toBe(9223372036854775807n);
  });

  it("takes the position from `sequence` where an incremental snapshot leaves out `lsn`", () => {
    const incremental = { ...source, lsn: null, snapshot: "incremental" };
    const { changes } = decode(
      entry({ key: { id: 1 }, value: { after: { id: 1 }, source: incremental, op: "r" } }),
    );
    expect(changes[0]?.position).toBe(123n);
  });

  it("reads the headers that link the halves of a key change", () => {
    const { changes } = decode(
      entry({ key: { id: 2 }, value: { after: null, source, op: "d" }, "__DEBEZIUM.NEWKEY": { id: 10 } }),
      entry({
        key: { id: 10 },
        value: { after: { id: 10 }, source, op: "c" },
        "__DEBEZIUM.OLDKEY": { id: 2 },
      }),
    );
    expect(changes.map((change) => [change.newKey, change.oldKey])).toEqual([
      ['{"id":10}', undefined],
      [undefined, '{"id":2}'],
    ]);
  });

  it("reads the compact format, a table without a key and a truncate", () => {
    const { changes } = decode(
      entry({ '{"id":1}': { after: { id: 1 }, source, op: "c" } }),
      entry({ key: "default", value: { after: { id: 1 }, source, op: "c" } }),
      entry({ key: "default", value: { before: null, after: null, source, op: "t" } }),
    );
    expect(changes.map((change) => [change.op, change.key])).toEqual([
      ["c", '{"id":1}'],
      ["c", undefined],
      ["t", undefined],
    ]);
  });

  it("says which entries it skips, and why", () => {
    const { changes, skips, failure } = decode(
      entry({ key: { id: 1 }, value: "default" }),
      entry({
        key: { id: 1 },
        value: { after: { id: 1 }, source: { ...source, table: "excluded" }, op: "c" },
      }),
      entry({ key: { prefix: "x" }, value: { op: "m", source, message: {} } }),
    );
    expect(failure).toBeUndefined();
    expect(changes).toEqual([]);
    expect(skips).toEqual([
      { entryIndex: 0, reason: "tombstone" },
      { entryIndex: 1, reason: "table-excluded" },
      { entryIndex: 2, reason: "logical-message" },
    ]);
  });

  it.each([
    ["no JSON", { key: "k", value: "hello" }, "ENTRY_NOT_DEBEZIUM"],
    ["cut JSON", { key: "k", value: '{"after":{"id":1},"sour' }, "ENTRY_NOT_DEBEZIUM"],
    ["no source", { key: "k", value: { hello: 1 } }, "ENTRY_NOT_DEBEZIUM"],
    ["other fields", { a: "1", b: "2" }, "ENTRY_NOT_DEBEZIUM"],
    ["an unknown op", { key: "k", value: { op: "x", source } }, "ENTRY_NOT_DEBEZIUM"],
    ["a schema", { key: "k", value: { schema: {}, payload: { op: "c", source } } }, "ENTRY_WITH_SCHEMA"],
    [
      "no position",
      { key: "k", value: { op: "c", after: {}, source: { ...source, lsn: null, sequence: null } } },
      "POSITION_MISSING",
    ],
  ])("stops at an entry with %s, keeps those before it and says which", (_, fields, code) => {
    const good = entry({ key: { id: 1 }, value: { after: { id: 1 }, source, op: "c" } });
    const chunk = decode(good, entry(fields, "7-3"), good);
    expect(chunk.entries).toHaveLength(1);
    expect(chunk.changes).toHaveLength(1);
    expect(chunk.failure).toMatchObject({ code, place: { stream: "cdc.0", entryId: "7-3" } });
  });
});
