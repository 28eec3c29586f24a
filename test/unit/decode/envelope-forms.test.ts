import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hashKey } from "../../../src/change/key-hash.ts";
import { Decoder, type DecodedChunk } from "../../../src/decode/decode-chunk.ts";
import { entriesOf, type Entries } from "../../../src/decode/entries.ts";
import { Envelope } from "../../../src/decode/envelope.ts";
import { EnvelopeForms } from "../../../src/decode/envelope-forms.ts";
import { EnvelopeRecord } from "../../../src/decode/kernel/envelopes.ts";
import { Message } from "../../../src/decode/message.ts";
import { LogOrder } from "../../../src/decode/log-order.ts";
import { Positions } from "../../../src/decode/positions.ts";
import { scanUsualEnvelope } from "../../../src/decode/usual-envelope.ts";
import { BufferPool } from "../../../src/source/buffer-pool.ts";
import { readEntries } from "../../../src/source/read-entries.ts";
import { ReplyCursor, ReplyScanner } from "../../../src/source/reply-scanner.ts";

interface Sent {
  /** The fields' names. */
  readonly names?: readonly [string, string];
  readonly key: string;
  readonly value: string;
}

const usualNames = ["key", "value"] as const;
const place = new BufferPool(1).take(1);
const idOf = (index: number): string => `1700000000000-${index}`;

/** As they come from Redis, in the kernel's memory. */
function replied(sent: readonly Sent[]): Entries {
  const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
  const entries = sent.map(
    ({ key, value, names = usualNames }, index) =>
      `*2\r\n${bulk(idOf(index))}*4\r\n${bulk(names[0])}${bulk(key)}${bulk(names[1])}${bulk(value)}`,
  );
  const scanner = new ReplyScanner(1, place);
  scanner.push(Buffer.from(`*${sent.length}\r\n${entries.join("")}`));
  return readEntries(new ReplyCursor(scanner));
}

/** In other memory, where they are read one by one. */
function made(sent: readonly Sent[]): Entries {
  return entriesOf(
    sent.map(({ key, value, names = usualNames }, index) => ({
      id: idOf(index),
      fields: [names[0], key, names[1], value].map((each) => Buffer.from(each)),
    })),
  );
}

interface Row {
  readonly op: string;
  readonly schema: string;
  readonly table: string;
  readonly key: object;
  readonly after: object | null;
  readonly lsn: number;
  readonly commit: number | null;
  readonly ms: number;
}

function sentOf({ op, schema, table, key, after, lsn, commit, ms }: Row): Sent {
  const sequence = `[${commit === null ? "null" : `\\"${commit}\\"`},\\"${lsn}\\"]`;
  return {
    key: JSON.stringify(key),
    value:
      `{"before":null,"after":${JSON.stringify(after)},"source":{"version":"3.6.1.Final","connector":"postgresql","name":"app",` +
      `"ts_ms":${ms},"snapshot":null,"db":"app","sequence":"${sequence}","ts_us":${ms}417,"ts_ns":${ms}417000,"schema":${JSON.stringify(schema)},` +
      `"table":${JSON.stringify(table)},"txId":771,"lsn":${lsn},"xmin":null},"transaction":null,"op":"${op}","ts_ms":${ms + 12}}`,
  };
}

function decoded(entries: Entries, base?: (id: string) => bigint): unknown {
  const decoder = new Decoder({
    stream: "cdc.0",
    nullKey: "default",
    includes: (_, table) => table !== "left_out",
    base,
    positions: new Positions({ snapshotPosition: 500n, commitLsn: 900 }),
    order: new LogOrder({ commitLsn: 0, committedAtMs: 0 }),
  });
  return contents(decoder.decode(entries));
}

/** Changes that the kernel read. */
let byForms = 0;

function contents({ entries, changes, skips, failure }: DecodedChunk): unknown {
  return {
    length: entries.length,
    changes: changes.map((change) => {
      if (change.keyHash !== undefined) {
        byForms++;
        expect(change.keyHash).toBe(hashKey(change.table, change.bytes, change.keyStart, change.keyEnd));
      }
      const { form, entryIndex, key, image, position, logged, commit, newKey, oldKey } = change;
      return { form, entryIndex, key, image: image?.toString(), position, logged, commit, newKey, oldKey };
    }),
    skips,
    // What is missing in it is found behind its end, where something else stands.
    failure: failure && { code: failure.code, place: failure.place },
  };
}

const value = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.jsonValue({ maxDepth: 2 }),
);
const shapes = fc.constantFrom(
  ["id"],
  ["id", "name"],
  ["id", "name", "sum"],
  ["name", "id"],
  ["id", 'q"\\', "ä"],
);
const row = fc
  .record({
    op: fc.oneof({ weight: 8, arbitrary: fc.constantFrom("c", "u", "r") }, fc.constantFrom("d", "t", "m")),
    schema: fc.constantFrom("public", "Odd Name"),
    table: fc.constantFrom("users", "orders", "left_out", "änder"),
    shape: shapes,
    values: fc.array(value, { minLength: 3, maxLength: 3 }),
    id: fc.oneof(fc.nat(), fc.string({ maxLength: 5 })),
    lsn: fc.oneof(fc.integer({ min: 100, max: 999 }), fc.maxSafeNat()),
    commit: fc.option(fc.integer({ min: 100, max: 2_000 })),
    ms: fc.oneof(fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_009 }), fc.nat()),
  })
  .map(({ shape, values, id, op, ...others }): Row => {
    const after = Object.fromEntries(shape.map((name, index) => [name, values[index]]));
    return { ...others, op, key: { id }, after: op === "d" || op === "t" ? null : after };
  });

const usualRow = row.map((each): Row => ({
  ...{ ...each, op: "u", lsn: 5_000, after: each.after ?? each.key },
  ...{ table: each.table === "left_out" ? "users" : each.table, ms: 1_700_000_000_000 },
}));

describe("entries in the kernel's memory", () => {
  it("are decoded as others are, whatever their forms", () => {
    const mostlyUsual = fc.oneof({ weight: 4, arbitrary: usualRow }, row);
    const rows = fc.array(mostlyUsual, { minLength: 1, maxLength: 5 });
    const order = fc.array(fc.nat(), { maxLength: 300, size: "max" });
    byForms = 0;
    let all = 0;
    fc.assert(
      fc.property(rows, order, fc.boolean(), (different, picked, isBased) => {
        const texts = different.map(sentOf);
        const some = picked.flatMap((pick) => texts[pick % texts.length] ?? []);
        // Often enough for forms to be worth learning.
        const sent = Array.from({ length: 5 }, () => some).flat();
        all += sent.length;
        const base = isBased ? (id: string): bigint => BigInt(id.split("-")[1] ?? 0) * 1_000n : undefined;
        expect(decoded(replied(sent), base)).toEqual(decoded(made(sent), base));
      }),
      { numRuns: 200 },
    );
    expect(byForms).toBeGreaterThan(all / 6);
  });

  it("are decoded as others are, whatever byte of them is another", () => {
    const flaw = fc.record({
      of: fc.constantFrom("key" as const, "value" as const),
      at: fc.nat(),
      text: fc.oneof(fc.string({ maxLength: 2 }), fc.constantFrom("7", '"', ",", "}", "x")),
      length: fc.nat(2),
    });
    byForms = 0;
    fc.assert(
      fc.property(
        usualRow,
        fc.array(row, { maxLength: 3 }),
        flaw,
        (first, others, { of, at, text, length }) => {
          const sound = sentOf(first);
          const whole = sound[of];
          const from = at % whole.length;
          const flawed = { ...sound, [of]: whole.slice(0, from) + text + whole.slice(from + length) };
          // Its form is known by then, and worth looking for.
          const sent = [...Array.from({ length: 150 }, () => sound), flawed, ...others.map(sentOf)];
          expect(decoded(replied(sent))).toEqual(decoded(made(sent)));
        },
      ),
      { numRuns: 3_000 },
    );
    expect(byForms).toBeGreaterThan(150_000);
  });
});

it.each<[string, string]>([
  ["kez", "value"],
  ["xey", "value"],
  ["key", "valux"],
  ["key", "Value"],
  ["value", "key"],
  ["keys", "value"],
])("entries of fields %s and %s are no messages", (...names) => {
  const sound = [1, 2, 3].map((id) => usual(id));
  const sent = [...sound, { ...usual(4), names }];
  expect(decoded(replied(sent))).toEqual(decoded(made(sent)));
  expect(decoded(replied(sent))).toMatchObject({ length: 3, failure: { code: "ENTRY_NOT_DEBEZIUM" } });
});

const usual = (id: number, table = "users"): Sent =>
  sentOf({
    op: "c",
    schema: "public",
    table,
    key: { id },
    after: { id, name: `n${id}` },
    lsn: 1_000 + id,
    commit: 900,
    ms: 1_700_000_000_000,
  });

/** As the decoder does with an entry of no known form. */
function learn(forms: EnvelopeForms, entries: Entries, index: number): void {
  const [message, envelope] = [new Message(), new Envelope()];
  message.read(entries, index);
  expect(scanUsualEnvelope(entries.buffer, message.valueStart, message.valueEnd, envelope)).toBe(true);
  const { schema, table } = envelope;
  forms.learn(entries, index, message, envelope, {
    table: { schema, table, id: `${schema}.${table}` },
    keyShape: 7,
  });
}

describe("EnvelopeForms", () => {
  it("reads a run of entries of the forms that it has learned, up to the first one of another", () => {
    const forms = new EnvelopeForms();
    const entries = replied([
      ...[1, 2, 3].map((id) => usual(id)),
      usual(4, "orders"),
      usual(5),
      usual(6, "orders"),
      usual(7, "others"),
    ]);
    expect(forms.read(entries, 0)).toBe(0);
    learn(forms, entries, 0);
    expect(forms.read(entries, 0)).toBe(3);
    expect(forms.read(entries, 3)).toBe(0);
    learn(forms, entries, 3);
    expect(forms.read(entries, 1)).toBe(5);
    const record = new EnvelopeRecord();
    const found = [0, 1, 2, 3, 4].map((index) => {
      record.take(index);
      const { table, op, keyShape, hasCommit } = forms.form(record.form);
      const image = entries.buffer.toString("utf8", record.afterStart, record.afterEnd);
      return { table: table.table, op, keyShape, hasCommit, image, position: record.position };
    });
    const expected = (id: number, table: string): unknown => ({
      ...{
        table,
        op: "c",
        keyShape: 7,
        hasCommit: true,
        image: `{"id":${id},"name":"n${id}"}`,
        position: 1_000n + BigInt(id),
      },
    });
    expect(found).toEqual(
      [2, 3, 4, 5, 6].map((id) => expected(id, id === 4 || id === 6 ? "orders" : "users")),
    );
    expect(record).toMatchObject({ commitLsn: 900, committedAtMs: 1_700_000_000_000 });
  });

  it("gives up looking for forms where no two entries are of one, and takes it up again", () => {
    const forms = new EnvelopeForms();
    const tables = Array.from({ length: 3_000 }, (_, index) => usual(index + 10_000, `t${index + 10_000}`));
    const entries = replied(tables);
    const read = (): number =>
      tables.reduce((sum, _, index) => {
        const count = forms.read(entries, index);
        if (count === 0) learn(forms, entries, index);
        return sum + count;
      }, 0);
    expect(read()).toBe(0);
    const alike = replied(tables.map((_, index) => usual(index + 10_000)));
    let index = 0;
    let alone = 0;
    while (index < alike.length) {
      const count = forms.read(alike, index);
      if (count === 0) {
        learn(forms, alike, index);
        alone++;
        index++;
      } else index += count;
    }
    expect(alone).toBeLessThan(2_000);
    expect(forms.read(alike, 0)).toBe(alike.length);
  });

  it("learns no form twice", () => {
    const forms = new EnvelopeForms();
    const [often, once] = [usual(1), usual(2, "orders")];
    const run = Array.from({ length: 60 }, () => often);
    learn(forms, replied([once]), 0);
    for (let round = 0; round < 40; round++) {
      learn(forms, replied([often]), 0);
      expect(forms.read(replied(run), 0)).toBe(60);
    }
    expect(forms.read(replied([once]), 0)).toBe(1);
  });

  it("keeps the newest of more forms than it can look for", () => {
    const forms = new EnvelopeForms();
    const sent = Array.from({ length: 40 }, (_, index) => usual(index + 10, `t${index + 10}`));
    for (let round = 0; round < 40; round++) {
      // What is read well is worth learning more.
      const entries = replied(Array.from({ length: 60 }, () => sent[round] ?? usual(1)));
      if (forms.read(entries, 0) === 0) learn(forms, entries, 0);
      expect(forms.read(entries, 0)).toBe(60);
    }
    const known = sent.filter((each) => forms.read(replied([each]), 0) === 1);
    expect(known).toEqual(sent.slice(-32));
  });
});
