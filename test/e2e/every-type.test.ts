import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { expect, it } from "vitest";
import { compareDatabases } from "../../demo/compare.ts";
import { waitUntilCaughtUp } from "../support/caught-up.ts";
import { startPipeline } from "../support/pipeline.ts";
import { runSluice, startSluice } from "../support/sluice-process.ts";

const everyColumn = `a_bool, a_int2, a_int4, a_int8, a_oid, a_float4, a_float8, a_numeric, a_big_numeric, a_money, a_text, a_varchar,
  a_char, a_citext, a_bytea, a_bit1, a_bit5, a_bit70, a_varbit, a_date, a_time, a_time3, a_timetz, a_timestamp, a_timestamp3,
  a_timestamptz, a_interval, a_json, a_jsonb, a_xml, a_uuid, a_inet, a_cidr, a_macaddr, a_macaddr8, a_mood, a_positive, a_point,
  a_tsvector, a_hstore, a_ltree, a_int4range, a_int8range, a_numrange, a_tsrange, a_tstzrange, a_daterange, ints, bigs, texts,
  numerics, stamps, plain_stamps, uuids, dates, bools, byteas, jsonbs, floats, moods, inets`;

/** Ordinary values, extreme ones, and empty ones; what the origin cannot send right is left out. */
const rows = [
  `true, 1, 2, 9007199254740993, 42, 1.1, 3.141592653589793, 12.30, 123456789012345678901234567890.123456789, 12.34, 'text', 'varchar',
  'char', 'CiText', '\\xdeadbeef', '1', '00101', repeat('01', 35)::bit(70), '1011', '2024-01-02', '03:04:05.678901', '03:04:05.678',
  '03:04:05.678901+00', '2024-01-02 03:04:05.678901', '2024-01-02 03:04:05.678', '2024-01-02 03:04:05.678901+09',
  '1 year 2 months 3 days 04:05:06.789', '{"a": 1.10, "b": [null]}', '{"a": 1.10}', '<a>b</a>', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
  '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', 'it''s ok', 7, '(1.5,-2)', 'a fat cat', 'a=>1, "b c"=>NULL',
  'Top.Science', '[1,5)', '[1,9000000000)', '(1.5,2.5]', '[2024-01-01,2024-02-01)', '[2024-01-01 00:00+00,)', '[2024-01-01,2024-02-01)',
  '{1,NULL,3}', '{9007199254740993}', '{"a,b","",NULL,"\\"q\\""}', '{1.20,NULL}', '{2024-01-02 03:04:05+00}', '{2024-01-02 03:04:05.5}',
  '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{2024-01-02,NULL}', '{t,f,NULL}', '{"\\\\xdead"}', '{"{\\"k\\": 1}"}', '{1.5,NaN,-Infinity}',
  '{sad,HAPPY}', '{10.0.0.1}'`,
  `false, -32768, -2147483648, -9223372036854775808, 4294967295, 'NaN', '-Infinity', -99999999.99, 'NaN', -0.01, '', '', '', '', '', '0', '00000',
  repeat('0', 70)::bit(70), '', '2100-12-31', '00:00:00', '23:59:59.999', '00:00:00+00', 'infinity', '0044-03-15 01:02:03 BC', '-infinity',
  '-5 years -5 months 28 days -03:59:17.622986', 'null', '"\\u00e9"', '<r a="1">&amp;</r>', '00000000-0000-0000-0000-000000000000', '::1', '::/0',
  'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff', 'HAPPY', 999, '(0,0)', '', '', '', 'empty', 'empty', 'empty', 'empty', '(-infinity,infinity)',
  'empty', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'`,
  `NULL, 32767, 2147483647, 9223372036854775807, 0, '-0', '-0', 99999999.99, 'Infinity', 92233720368547758.07, 'ünïcödé 🎉 "quotes" ''single'' \\ back', E'tab\\tnew\\nline',
  'äöü', 'ÀB', '\\x00', '1', '11111', repeat('1', 70)::bit(70), '11111111111111111111', 'infinity', '24:00:00', '12:00', '12:00:00+00', '-infinity',
  '1969-12-31 23:59:59.999', '294276-12-31 23:59:59.999999+00', '-1 microsecond', '{}', '[]', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`,
  `NULL, NULL, NULL, NULL, NULL, 'Infinity', 1e308, 0, '-Infinity', 0, '__debezium', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '-infinity', NULL, NULL, NULL,
  '2024-02-29 00:00', NULL, '0044-03-15 12:00:00+00 BC', '0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`,
];

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  // When a test fails its servers end before its clients.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

/** Years before Christ are sent right only while streaming: the snapshot takes them for Julian ones. */
async function writeEveryType(client: pg.Client, how: "snapshot" | "streamed"): Promise<void> {
  const sent = how === "streamed" ? rows : rows.map((row) => row.replaceAll(/'[^',]* BC'/g, "NULL"));
  for (const row of sent) await client.query(`INSERT INTO every_type (${everyColumn}) VALUES (${row})`);
}

/** Incompressible, so that PostgreSQL stores it apart. */
function largeText(bytes: number): string {
  return randomBytes(bytes / 2).toString("hex");
}

async function writeLarge(client: pg.Client, id: number): Promise<void> {
  const list = Array.from({ length: 200 }, () => largeText(64));
  const numbers = Array.from({ length: 9000 }, () => Math.floor(Math.random() * 2 ** 31));
  await client.query("INSERT INTO large VALUES ($1, 'first', $2, $3, $4, $5, $6, hstore('k', $7))", [
    id,
    largeText(20_000),
    randomBytes(20_000),
    list,
    JSON.stringify({ text: largeText(20_000) }),
    numbers,
    largeText(20_000),
  ]);
}

async function before(url: string): Promise<void> {
  const client = await connect(url);
  await client.query(await readFile(join(import.meta.dirname, "every-type.sql"), "utf8"));
  await writeEveryType(client, "streamed");
  await client.query(
    "INSERT INTO composite SELECT 'tenant ' || i % 3, 'c' || i, i, 'before' FROM generate_series(1, 500) i",
  );
  await client.query(
    `INSERT INTO "Odd Names"."Select" VALUES ('a', 1, 'x', '{}'), ('ü "quoted"', 2, NULL, '[1]')`,
  );
  for (let id = 1; id <= 4; id++) await writeLarge(client, id);
  await client.query("INSERT INTO log SELECT now(), 'line ' || i FROM generate_series(1, 5) i");
  await client.end();
}

async function mixedTransactions(url: string): Promise<void> {
  const client = await connect(url);
  await writeEveryType(client, "streamed");
  await client.query(
    "UPDATE every_type SET a_text = 'changed', a_int4 = 21, a_defaulted = NULL WHERE id = 1",
  );
  await client.query("UPDATE every_type SET a_text = NULL, a_numeric = 'NaN' WHERE id = 5");
  await client.query("UPDATE large SET label = 'second' WHERE id IN (1, 2)");
  await client.query("UPDATE large SET label = 'third', body = 'short now' WHERE id = 2");
  await client.query("UPDATE large SET label = 'fourth' WHERE id = 2");
  await client.query(
    "BEGIN; UPDATE large SET label = 'moved', id = 33 WHERE id = 3; UPDATE large SET label = 'moved on' WHERE id = 33; COMMIT",
  );
  await client.query("UPDATE large SET id = 44 WHERE id = 4");
  await client.query("UPDATE large SET id = 45 WHERE id = 44");
  await client.query("INSERT INTO large (id, body) VALUES (9, repeat('much ', 1000000))");
  await client.query("INSERT INTO log SELECT now(), 'later ' || i FROM generate_series(1, 5) i");
  for (let round = 0; round < 30; round++) {
    await client.query("BEGIN");
    await client.query("UPDATE composite SET payload = payload || $1 WHERE number % 7 = $2", [
      `/${round}`,
      round % 7,
    ]);
    await client.query("DELETE FROM composite WHERE number = $1", [round * 3]);
    await client.query(
      "INSERT INTO composite VALUES ('tenant 0', 'again', $1, 'again') ON CONFLICT DO NOTHING",
      [round * 3],
    );
    await client.query(`UPDATE "Odd Names"."Select" SET "Order" = "Order" + 1`);
    await client.query(round % 5 === 4 ? "ROLLBACK" : "COMMIT");
  }
  await client.query("UPDATE composite SET number = number + 10000 WHERE number BETWEEN 100 AND 200");
  await client.query(`UPDATE "Odd Names"."Select" SET "Key" = 'new key' WHERE "Key" = 'a'`);
  await client.query("DELETE FROM every_type WHERE id = 2");
  await client.end();
}

it("carries a snapshot and mixed transactions of every type, and the databases end equal, row by row as text", async () => {
  await using pipeline = await startPipeline({ shards: 8, prepare: before });
  const migrated = await runSluice(["migrate", "--from-source"], pipeline.environment);
  expect(migrated, migrated.stderr).toMatchObject({ code: 0 });
  await using sluice = await startSluice(pipeline.environment);
  await sluice.waitReady();
  await mixedTransactions(pipeline.primaryUrl);
  await waitUntilCaughtUp({ ...pipeline, httpUrl: sluice.httpUrl });
  const comparison = await compareDatabases(pipeline.primaryUrl, pipeline.readUrl);
  expect(comparison.tables.flatMap((table) => table.differences)).toEqual([]);
  expect(comparison.equal).toBe(true);
  expect(comparison.tables.map((table) => table.table)).toHaveLength(6);

  const client = await connect(pipeline.primaryUrl);
  await client.query("TRUNCATE composite");
  await client.query("INSERT INTO composite VALUES ('after', 'truncate', 1, 'one')");
  await client.query("ALTER TABLE large ADD COLUMN added int");
  await client.end();
  expect(await runSluice(["migrate", "--from-source"], pipeline.environment)).toMatchObject({ code: 0 });
  const writer = await connect(pipeline.primaryUrl);
  await writer.query("UPDATE large SET added = id");
  await writer.end();
  await waitUntilCaughtUp({ ...pipeline, httpUrl: sluice.httpUrl });
  const after = await compareDatabases(pipeline.primaryUrl, pipeline.readUrl);
  expect(after.tables.flatMap((table) => table.differences)).toEqual([]);
  expect(await sluice.stop()).toMatchObject({ code: 0 });
});
