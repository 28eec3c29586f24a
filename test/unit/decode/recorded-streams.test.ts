import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { workOf } from "../../../src/batch/work.ts";
import type { Change } from "../../../src/change/change.ts";
import { Decoder } from "../../../src/decode/decode-chunk.ts";
import { Positions } from "../../../src/decode/positions.ts";
import { entriesOf } from "../../../src/decode/entries.ts";
import { Envelope as ScannedEnvelope, scanEnvelope } from "../../../src/decode/envelope.ts";
import { scanUsualEnvelope } from "../../../src/decode/usual-envelope.ts";
import { columnType, plan, readTable } from "../../support/plans.ts";

/** What the real Debezium Server wrote, of each version that was recorded; `npm run record-streams` records again. */
const fixtures = join(import.meta.dirname, "..", "..", "fixtures");
const recordings = readdirSync(fixtures).filter((name) => name.startsWith("debezium-"));

type Row = Readonly<Record<string, unknown>>;

interface Envelope {
  readonly before: Row | null;
  readonly after: Row | null;
  readonly op: string;
  readonly source: {
    readonly schema: string;
    readonly table: string;
    readonly lsn: number | null;
    readonly sequence: string;
    readonly ts_ms: number;
    readonly snapshot: string | null;
  };
}

/** A recorded entry, read by JSON.parse, beside what the decoder made of it. */
interface Recorded {
  readonly stream: string;
  readonly value: Buffer;
  readonly fields: ReadonlyMap<string, string>;
  readonly envelope: Envelope;
  readonly change: Change;
}

function readRecording(name: string): Recorded[] {
  const lines = readFileSync(join(fixtures, name, "streams.jsonl"), "utf8")
    .trimEnd()
    .split("\n");
  return lines.map((line) => {
    const { stream, id, fields } = JSON.parse(line) as { stream: string; id: string; fields: string[] };
    const decoder = new Decoder({
      ...{ stream, nullKey: "default", includes: () => true, base: undefined },
      positions: new Positions({ snapshotPosition: 0n, commitLsn: 0 }),
    });
    const chunk = decoder.decode(entriesOf([{ id, fields: fields.map((field) => Buffer.from(field)) }]));
    const [change] = chunk.changes;
    if (change === undefined) throw chunk.failure ?? new Error(`${id} was skipped`);
    const named = new Map(
      fields.flatMap((field, at) => (at % 2 === 0 ? [[field, fields[at + 1] ?? ""]] : [])),
    );
    const text = named.get("value") ?? "";
    return {
      stream,
      value: Buffer.from(text),
      fields: named,
      envelope: JSON.parse(text) as Envelope,
      change,
    };
  });
}

/** The types of the recorded columns that may be stored apart. */
const largeTypes: Readonly<Record<string, string>> = {
  body: "text",
  raw: "bytea",
  list: "text[]",
  doc: "jsonb",
  numbers: "int4[]",
  tags: "hstore",
  a_text: "text",
  a_varchar: "varchar",
  a_char: "bpchar",
  a_citext: "citext",
  a_note: "text",
  a_bytea: "bytea",
  a_bit: "bit",
  a_varbit: "varbit",
  a_numeric: "numeric",
  a_json: "json",
  a_jsonb: "jsonb",
  a_xml: "xml",
  a_tsvector: "tsvector",
  a_hstore: "hstore",
  a_ltree: "ltree",
  a_numrange: "numrange",
  bools: "bool[]",
  smalls: "int2[]",
  ints: "int4[]",
  bigs: "int8[]",
  oids: "oid[]",
  reals: "float4[]",
  doubles: "float8[]",
  numerics: "numeric[]",
  scaled: "numeric[]",
  texts: "text[]",
  varchars: "varchar[]",
  chars: "bpchar[]",
  citexts: "citext[]",
  byteas: "bytea[]",
  dates: "date[]",
  times: "time[]",
  timetzs: "timetz[]",
  stamps: "timestamp[]",
  zoned: "timestamptz[]",
  jsons: "json[]",
  jsonbs: "jsonb[]",
  uuids: "uuid[]",
  inets: "inet[]",
  cidrs: "cidr[]",
  macs: "macaddr[]",
  hstores: "hstore[]",
  ltrees: "ltree[]",
  ranges: "int4range[]",
  moods: "mood[]",
  a_notes: "text[]",
  a_amounts: "numeric[]",
};

/** The columns that the recorded update leaves out. */
function absentOf({ change, envelope }: Recorded): readonly string[] {
  const columns = Object.keys(envelope.after ?? {}).map((name) => {
    const [element = "int4", array] = (largeTypes[name] ?? "int4").split("[");
    const type = columnType(element);
    return [
      name,
      array === undefined ? type : { ...columnType(`_${element}`, `${element}[]`), element: type },
    ];
  });
  const table = readTable(change.table.id, Object.fromEntries(columns));
  return [...workOf(change, plan(table)).absent];
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

describe.each(recordings)("the recording of %s", (name) => {
  const recorded = readRecording(name);
  const ofTable = (table: string): Recorded[] => recorded.filter(({ change }) => change.table.id === table);

  it("decodes whole, each entry to its op, table, key and position", () => {
    for (const { fields, envelope, change } of recorded) {
      const { schema, table, lsn, sequence, ts_ms: time } = envelope.source;
      const key = fields.get("key");
      expect(change).toMatchObject({
        op: envelope.op,
        table: { schema, table, id: `${schema}.${table}` },
        position: BigInt(lsn ?? (JSON.parse(sequence) as string[])[1] ?? "none"),
        committedAtMs: time,
      });
      expect(change.key).toBe(key === "default" ? undefined : key);
      expect([change.newKey, change.oldKey]).toEqual([
        fields.get("__DEBEZIUM.NEWKEY"),
        fields.get("__DEBEZIUM.OLDKEY"),
      ]);
    }
  });

  it("has every kind of change, and only expected tables", () => {
    expect(new Set(recorded.map(({ change }) => change.op))).toEqual(new Set(["r", "c", "u", "d", "t"]));
    const tables = new Set(recorded.map(({ change }) => change.table.id));
    const own = [
      "every_type",
      "composite",
      "large",
      "apart",
      "by_index",
      "opaque",
      "log",
      "whole",
      "parted",
      "marker",
    ];
    expect(tables).toEqual(
      new Set(["Odd Names.Select", "public.debezium_signal", ...own.map((table) => `public.${table}`)]),
    );
    expect(recorded.filter(({ envelope }) => envelope.source.snapshot === "incremental")).not.toEqual([]);
    expect(ofTable("public.log").every(({ change }) => change.key === undefined)).toBe(true);
  });

  it("is read the same by the usual and the general scan, and hardly ever needs the general one", () => {
    const general = recorded.filter(({ value, envelope }) => {
      const [usual, full] = [new ScannedEnvelope(), new ScannedEnvelope()];
      if (!scanUsualEnvelope(value, 0, value.length, usual)) return true;
      scanEnvelope(value, 0, value.length, full);
      expect(usual).toEqual(full);
      expect(usual.op).toBe(envelope.op);
      return false;
    });
    // An incremental snapshot's rows have no position of their own.
    expect(general.every(({ envelope }) => envelope.source.lsn === null)).toBe(true);
  });

  it("keeps each image as it was written", () => {
    for (const { change, envelope, value } of recorded) {
      const image = change.image?.toString();
      expect(image === undefined ? null : JSON.parse(image)).toEqual(envelope.after);
      expect(value.toString()).toContain(`"after":${image ?? "null"},"source":`);
    }
  });

  it("gives images of the same columns one shape, and others another", () => {
    const shapes = new Map<string, number>();
    for (const { change, envelope } of recorded.filter(({ change }) => change.image !== undefined)) {
      const names = Object.keys(envelope.after ?? {}).join();
      expect(change.form.shape).toBe(shapes.get(names) ?? change.form.shape);
      shapes.set(names, change.form.shape);
    }
    expect(new Set(shapes.values()).size).toBe(shapes.size);
  });

  it("links the halves of every key change", () => {
    const deletes = recorded.filter(({ change }) => change.newKey !== undefined);
    const inserts = recorded.filter(({ change }) => change.oldKey !== undefined);
    expect(deletes.length).toBeGreaterThan(5);
    expect(inserts).toHaveLength(deletes.length);
    for (const { change } of deletes) {
      const { table, position, key, newKey } = change;
      const half = inserts.find((each) => each.change.key === newKey && each.change.oldKey === key)?.change;
      expect(change.op).toBe("d");
      expect(half).toMatchObject({ op: "c", table, position });
    }
  });

  it("never goes back in position within a key", () => {
    const newest = new Map<string, bigint>();
    let grown = 0;
    for (const { change } of recorded) {
      const key = `${change.table.id} ${change.key}`;
      if (change.key === undefined) continue;
      const earlier = newest.get(key) ?? change.position;
      expect(change.position).toBeGreaterThanOrEqual(earlier);
      if (change.position > earlier) grown++;
      newest.set(key, change.position);
    }
    expect(grown).toBeGreaterThan(20);
  });

  it("keeps a key in one stream", () => {
    const streams = new Map<string, string>();
    for (const { change, stream } of recorded) {
      const key = `${change.table.id} ${change.key}`;
      expect(stream).toBe(streams.get(key) ?? stream);
      streams.set(key, stream);
    }
  });

  it("finds exactly the unchanged large values of an update", () => {
    const all = ["body", "raw", "list", "doc", "numbers", "tags"];
    const found = ofTable("public.large").map((each) => [each.change.op, each.change.key, absentOf(each)]);
    const partial = found.filter(([op]) => op === "u" || op === "c");
    expect(partial).toEqual(
      expect.arrayContaining([
        ["u", '{"id":1}', all],
        ["u", '{"id":2}', all],
        ["u", '{"id":2}', all.filter((each) => each !== "body")],
        ["u", '{"id":2}', all.filter((each) => each !== "body" && each !== "raw")],
        ["c", '{"id":33}', all],
        ["u", '{"id":33}', all],
        ["c", '{"id":44}', all],
      ]),
    );
    expect(partial).toHaveLength(7);
    expect(ofTable("public.whole").flatMap(absentOf)).toEqual([]);
  });

  it("has types that Debezium does not know as base64 of their text", () => {
    const [snapshot, update] = ofTable("public.opaque").map(({ envelope }) => envelope.after ?? {});
    const { a_pair: whole, ...values } = snapshot ?? {};
    expect(update).toEqual({ ...values, note: "updated", a_pair: base64("__debezium_unavailable_value") });
    expect(whole).toMatch(/^[\w+/=]{3000,}$/);
    expect(values).toMatchObject({
      a_path: base64("[(0.1,0.0),(1.0,1.0)]"),
      a_lsn: base64("16/B374D848"),
      a_multirange: base64("{[1,3),[5,7)}"),
      a_text_range: base64('[a,"b c")'),
      pairs: [base64('(1,"a ""b""")'), base64("(,)")],
      positives: [base64("1"), base64("2")],
    });
  });

  it("finds the placeholder of every type that has one; the others arrive as NULL", () => {
    const [snapshot, update] = ofTable("public.apart");
    if (snapshot === undefined || update === undefined) throw new Error("the table apart was not recorded");
    expect(absentOf(snapshot)).toEqual([]);
    const values = Object.entries(update.envelope.after ?? {});
    const lost = values.filter(([, value]) => value === null).map(([column]) => column);
    const large = values.map(([column]) => column).filter((column) => column !== "id" && column !== "label");
    expect(absentOf(update)).toEqual(large.filter((column) => !lost.includes(column)));
    // `check` names these columns: an update that leaves them alone makes them NULL.
    expect(lost.join(" ")).toBe(
      "a_bit a_varbit bools smalls oids reals doubles numerics scaled citexts times timetzs stamps zoned inets cidrs macs hstores " +
        "ltrees ranges moods positives noted a_notes a_amounts",
    );
  });
});
