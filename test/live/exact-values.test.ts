import { expect, inject, test } from "vitest";
import { readTable } from "../../src/catalog/read-table.ts";
import { classify } from "../../src/sink/classify.ts";
import { openPool } from "../../src/sink/connect.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";

interface Values {
  /** What is sent → what is written, as PostgreSQL prints it. */
  readonly exact: Readonly<Record<string, string>>;
  /** What is sent and cannot be held exactly. */
  readonly refused: readonly string[];
}

const families: Readonly<Record<string, Readonly<Record<string, Values>>>> = {
  numbers: {
    "numeric(10,2)": {
      exact: { '"12.30"': "12.30", '"12.3000"': "12.30", '"NAN"': "NaN", '"-99999999.99"': "-99999999.99" },
      refused: ['"1.2345"', '"123456789.00"', '"POSITIVE_INFINITY"'],
    },
    "numeric(10)": { exact: { '"7"': "7", '"7.0"': "7" }, refused: ['"7.5"'] },
    "numeric(10,2)[]": {
      exact: { '["1.20",null]': "{1.20,NULL}", "[]": "{}" },
      refused: ['["1.20","1.205"]'],
    },
    numeric: { exact: { '"1.2345"': "1.2345", '"NEGATIVE_INFINITY"': "-Infinity" }, refused: ['"1,5"'] },
    real: {
      exact: {
        "1.1": "1.1",
        "-0.0": "-0",
        "1.6777216E7": "1.6777216e+07",
        "1.4E-45": "1e-45",
        "3.4028235E38": "3.4028235e+38",
        '"NaN"': "NaN",
        '"-Infinity"': "-Infinity",
      },
      refused: ["3.141592653589793", "16777217", "1.12345678", "1.6E-45", "1e39"],
    },
    "real[]": { exact: { '[1.5,"NaN",null]': "{1.5,NaN,NULL}" }, refused: ["[1.5,1.123456789012]"] },
    // Java writes the first two as read here; PostgreSQL would write a longer decimal for both.
    "double precision": {
      exact: {
        "1.0E23": "9.999999999999999e+22",
        "2.000000000000001E16": "2.0000000000000008e+16",
        "3.141592653589793": "3.141592653589793",
        "4.9E-324": "5e-324",
        "1.7976931348623157E308": "1.7976931348623157e+308",
        "-0.5": "-0.5",
        "1234567890": "1234567890",
      },
      refused: ["1.1234567890123456789", "9007199254740993", "1.6E-323", "1.23456789E-320"],
    },
    money: { exact: { '"-12.34"': "-$12.34" }, refused: ['"12.345"'] },
    oid: { exact: { "4294967295": "4294967295" }, refused: ["-1", "4294967296"] },
    bigint: { exact: { "9007199254740993": "9007199254740993" }, refused: ["1.5", "9223372036854775808"] },
  },
  texts: {
    "varchar(3)": {
      exact: { '"abc"': "abc", '"äöü"': "äöü", '"a  "': "a  " },
      refused: ['"abcd"', '"ab  "'],
    },
    "varchar(2)[]": { exact: { '["ab",null,"a"]': "{ab,NULL,a}" }, refused: ['["ab","abc"]', '["ab "]'] },
    "char(3)": { exact: { '"ab "': "ab", '"äöü"': "äöü" }, refused: ['"abcd"'] },
    name: { exact: { [`"${"a".repeat(63)}"`]: "a".repeat(63) }, refused: [`"${"a".repeat(64)}"`] },
    '"char"': { exact: { '"a"': "a", '""': "" }, refused: ['"ab"'] },
  },
  "bit strings": {
    "bit(1)": { exact: { true: "1", false: "0" }, refused: ['"qg=="'] },
    "bit(5)": { exact: { '"BQ=="': "00101", '"AA=="': "00000" }, refused: ['"qg=="'] },
    "bit(8)": { exact: { '"qg=="': "10101010" }, refused: ['"qgE="'] },
    "varbit(5)": { exact: { '"BQ=="': "101", '""': "" }, refused: ['"qg=="'] },
    // CREATE TABLE AS makes such a column: the catalog does not tell its length.
    '"bit"': { exact: { '"qg=="': "10101010" }, refused: [] },
    varbit: { exact: { '"qg=="': "10101010" }, refused: [] },
  },
  times: {
    "timestamp(0)": {
      exact: {
        "1704164645000000": "2024-01-02 03:04:05",
        "9223372036825200000": "infinity",
        "-9223372036832400000": "-infinity",
      },
      refused: ["1704164645000001"],
    },
    "timestamp(3)": {
      exact: {
        "1704164645678000": "2024-01-02 03:04:05.678",
        "-62198755200000000": "0002-01-01 00:00:00 BC",
      },
      refused: ["1704164645678901", "-1"],
    },
    "timestamp(6)": { exact: { "1704164645678901": "2024-01-02 03:04:05.678901" }, refused: [] },
    "timestamptz(3)": {
      exact: {
        '"2024-01-01T18:04:05.678Z"': "2024-01-01 18:04:05.678+00",
        '"2024-01-01T18:04:05.678000Z"': "2024-01-01 18:04:05.678+00",
        '"-infinity"': "-infinity",
        '"-0043-03-15T12:00:00Z"': "0044-03-15 12:00:00+00 BC",
        '"+20024-01-01T18:04:05.6Z"': "20024-01-01 18:04:05.6+00",
      },
      refused: ['"2024-01-01T18:04:05.678901Z"', '"-0043-03-15T12:00:00.1234Z"'],
    },
    "timestamptz(0)": {
      exact: { '"2024-01-01T18:04:05Z"': "2024-01-01 18:04:05+00" },
      refused: ['"2024-01-01T18:04:05.5Z"'],
    },
    "time(3)": {
      exact: { "11045678000": "03:04:05.678", "86400000000": "24:00:00" },
      refused: ["11045678901"],
    },
    time: { exact: { "86399999999": "23:59:59.999999" }, refused: ["86400000001", "-1"] },
    "timetz(3)": { exact: { '"18:04:05.678Z"': "18:04:05.678+00" }, refused: ['"18:04:05.678901Z"'] },
    "interval(3)": {
      exact: { '"P1Y2M3DT4H5M6.789S"': "1 year 2 mons 3 days 04:05:06.789" },
      refused: ['"P1Y2M3DT4H5M6.7891S"'],
    },
    "interval year to month": { exact: { '"P1Y2M"': "1 year 2 mons" }, refused: ['"P1Y2M3D"'] },
  },
};

test.each(Object.entries(families))("%s are written exactly, or refused", async (_, types) => {
  await using db = await createDatabase(inject("postgresUrl"));
  for (const [type, { exact, refused }] of Object.entries(types)) {
    await using column = await createColumn(db, type);
    for (const [json, written] of Object.entries({ ...exact, null: null }))
      expect(await column.insert(json), `${type} ${json}`).toBe(written);
    for (const json of refused) {
      const { error } = classify(await column.insert(json).catch((failure: unknown) => failure));
      expect(error, `${type} ${json}`).toMatchObject({ code: "VALUE_INVALID" });
    }
  }
});

test("the message names the type and not the value", async () => {
  await using db = await createDatabase(inject("postgresUrl"));
  await using column = await createColumn(db, "numeric(10,2)");
  const { error } = classify(await column.insert('"1.2345"').catch((failure: unknown) => failure));
  expect(error.message).toMatch(/\(not exact in numeric\(10,2\)\)$/);
});

interface Column extends AsyncDisposable {
  /** What the column has after the JSON was sent, as text. */
  insert(json: string): Promise<string | null | undefined>;
}

async function createColumn(db: TestDatabase, type: string): Promise<Column> {
  await db.query(`DROP TABLE IF EXISTS t; CREATE TABLE t (v ${type}, _sluice_lsn bigint)`);
  const pool = openPool({ url: db.url, applicationName: "test", max: 1, applying: true });
  const table = await readTable(pool, { schema: "public", table: "t", id: "public.t" });
  const codec = table?.columns.get("v")?.codec;
  const from = `json_to_record($1::json) AS r(v ${codec?.recordType})`;
  const text = `INSERT INTO t SELECT ${codec?.expression("r.v")} FROM ${from} RETURNING v::text`;
  return {
    insert: async (json) => {
      const query = { name: "insert", text, values: [`{"v":${json}}`] };
      return (await pool.query<{ v: string | null }>(query)).rows[0]?.v;
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}
