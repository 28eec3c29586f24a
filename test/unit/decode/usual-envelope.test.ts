import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Envelope, scanEnvelope } from "../../../src/decode/envelope.ts";
import { scanUsualEnvelope } from "../../../src/decode/usual-envelope.ts";
import { whereabouts } from "../../support/kernel-bytes.ts";

function fullScan(value: Buffer): Envelope {
  const envelope = new Envelope();
  scanEnvelope(value, 0, value.length, envelope);
  return envelope;
}

/** Names and texts that could be taken for the envelope's own. */
const tricky = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom('"lsn":1', '","table":"x', '"op":"d"', '"ts_ms":5', "\\", 'x"', "source", "ä", "lsn", "op"),
  fc.constantFrom(":5,x", ":6,x", ":7}", ":8"),
);
const image = fc.option(fc.dictionary(tricky, fc.oneof(tricky, fc.double(), fc.jsonValue({ maxDepth: 1 }))), {
  nil: null,
});
const envelope = fc.record({
  before: image,
  after: image,
  source: fc.record({
    version: fc.constant("3.6.1.Final"),
    name: tricky,
    ts_ms: fc.nat(),
    db: tricky,
    sequence: fc.constantFrom('["1","2"]', '[null,"3"]', null),
    schema: fc.oneof({ weight: 5, arbitrary: fc.constantFrom("public", "Odd Name") }, tricky),
    table: fc.oneof({ weight: 5, arbitrary: fc.constantFrom("users", "order-items") }, tricky),
    txId: fc.nat(),
    lsn: fc.oneof({ weight: 5, arbitrary: fc.maxSafeNat() }, fc.constant(null)),
    xmin: fc.constant(null),
  }),
  transaction: fc.constantFrom(null, { id: "1:2", total_order: 1 }),
  op: fc.constantFrom("c", "u", "d", "r", "t", "m"),
  ts_ms: fc.nat(),
});

/** JSON whose objects name each member once, as any converter writes it. */
function isPlainJson(bytes: Buffer): boolean {
  try {
    return JSON.stringify(JSON.parse(bytes.toString())) === bytes.toString();
  } catch {
    return false;
  }
}

describe.each(whereabouts)("scanUsualEnvelope %s", (_, put) => {
  /** Undefined: left to the full scan. */
  function usualScan(value: Buffer): Envelope | undefined {
    const envelope = new Envelope();
    return scanUsualEnvelope(put(value), 0, value.length, envelope) ? envelope : undefined;
  }

  it("finds exactly what the full scan finds, or leaves the envelope to it", () => {
    let found = 0;
    fc.assert(
      fc.property(envelope, (each) => {
        const value = Buffer.from(JSON.stringify(each));
        const usual = usualScan(value);
        if (usual === undefined) return;
        found++;
        expect(usual).toEqual(fullScan(value));
      }),
      { numRuns: 2000 },
    );
    expect(found).toBeGreaterThan(100);
  });

  it("learns the usual tail, and reads the next ones as the full scan does, whatever byte of them differs", () => {
    const names = fc.constantFrom("users", "orders", "t1", "t2", "order items", ":5,x");
    const number = fc.oneof(fc.nat(), fc.maxSafeNat());
    const usual = fc
      .tuple(
        fc.record({ schema: names, table: names, op: fc.constantFrom("c", "u", "r") }),
        fc.record({
          ms: fc.integer({ min: 1, max: 2 ** 31 }),
          lsn: number,
          commit: fc.option(number),
          id: fc.nat(),
        }),
      )
      .map(
        ([{ schema, table, op }, { ms, lsn, commit, id }]) =>
          `{"before":null,"after":{"id":${id}},"source":{"version":"3.6.1.Final","connector":"postgresql","name":"app",` +
          `"ts_ms":${ms},"snapshot":null,"db":"app","sequence":"[${commit === null ? "null" : `\\"${commit}\\"`},\\"${lsn}\\"]",` +
          `"ts_us":${ms}417,"ts_ns":${ms}417000,"schema":"${schema}","table":"${table}","txId":${id},"lsn":${lsn},"xmin":null},` +
          `"transaction":null,"op":"${op}","ts_ms":${ms},"ts_us":${ms}833,"ts_ns":${ms}833125}`,
      );
    fc.assert(
      fc.property(
        usual,
        usual,
        fc.option(fc.tuple(fc.nat(), fc.integer({ min: 32, max: 126 }))),
        (a, b, change) => {
          expect(usualScan(Buffer.from(a))).toEqual(fullScan(Buffer.from(a)));
          // One of its own pattern, and one of another.
          for (const text of [a, b]) {
            const next = Buffer.from(text);
            if (change !== null) next[change[0] % next.length] = change[1];
            if (change !== null && !isPlainJson(next)) continue;
            const found = usualScan(next);
            if (change === null) expect(found).toBeDefined();
            if (found !== undefined) expect(found).toEqual(fullScan(next));
          }
        },
      ),
      { numRuns: 5000 },
    );
  });

  it("reads the tails of hundreds of tables at once as the full scan does, also those of one name that begins another", () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[a-d]{1,6}\d{0,2}$/), {
      minLength: 100,
      maxLength: 300,
    });
    const optional = fc.constantFrom("null", "7", '"x"', "1.5", "12");
    fc.assert(
      fc.property(names, fc.array(optional, { minLength: 5, maxLength: 5 }), (tables, ids) => {
        let learned = 0;
        for (let index = 0; index < 2 * tables.length; index++) {
          const table = tables[index % tables.length] ?? "";
          const value = Buffer.from(
            `{"before":null,"after":{"id":${index},"of_${table}":"${table}"},"source":{"ts_ms":${index},"sequence":"[null,\\"${index}\\"]",` +
              `"schema":"s","table":"${table}","txId":${ids[index % 5]},"lsn":${index},"xmin":${ids[index % 3]}},"op":"c"}`,
          );
          const found = usualScan(value);
          if (found === undefined) continue;
          learned++;
          expect(found).toEqual(fullScan(value));
        }
        expect(learned).toBe(2 * tables.length);
      }),
      { numRuns: 10 },
    );
  });

  it("reads what Debezium usually writes", () => {
    const source = {
      version: "3.6.1.Final",
      ts_ms: 7,
      sequence: '["1","2"]',
      schema: "public",
      table: "t",
      txId: 1,
      lsn: 9,
    };
    const value = Buffer.from(
      JSON.stringify({ before: null, after: { id: 1 }, source, transaction: null, op: "c", ts_ms: 8 }),
    );
    expect(usualScan(value)).toMatchObject({
      op: "c",
      schema: "public",
      table: "t",
      position: 9n,
      committedAtMs: 7,
    });
  });
});
