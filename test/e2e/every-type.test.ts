import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { expect, it } from "vitest";
import { compareDatabases } from "../../demo/compare.ts";
import { startDebezium } from "../../demo/local/debezium-server.ts";
import { waitUntilCaughtUp } from "../support/caught-up.ts";
import { startPipeline } from "../support/pipeline.ts";
import { runSluice, startSluice } from "../support/sluice-process.ts";
import { everyColumn, everyTypeRows, streamedRows } from "./every-type.rows.ts";

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  // When a test fails its servers end before its clients.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

async function writeEveryType(client: pg.Client): Promise<void> {
  for (const row of everyTypeRows)
    await client.query(`INSERT INTO every_type (${everyColumn}) VALUES (${row})`);
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

/** Of types that Debezium has no form of its own for; large enough to be stored apart. */
async function writeOpaque(client: pg.Client, id: number): Promise<void> {
  await client.query(
    `INSERT INTO opaque VALUES ($1, 'first', '[(0.1,0),(1,1)]', '((0,0),(1,1),(1,0))', '(1,1),(0,0)', '<(0,0),1.5>', '{1,2,3}',
       '[(0,0),(1,1)]', 'a & !b', '16/B374D848', '$.a[*] ? (@ > 1)', '{[1,3),[5,7)}', '{["2024-01-01 00:00+00",)}',
       ROW(1, $2), ARRAY[ROW(1, 'a "b" \\ c')::pair, ROW(NULL, NULL)::pair], '[a,"b c")', '{1,2}')`,
    [id, `ünï "quoted" ${largeText(20_000)}`],
  );
  await client.query("INSERT INTO opaque (id) VALUES ($1)", [id + 100]);
}

async function before(url: string): Promise<void> {
  const client = await connect(url);
  await client.query(await readFile(join(import.meta.dirname, "every-type.sql"), "utf8"));
  await writeEveryType(client);
  await client.query(
    "INSERT INTO composite SELECT 'tenant ' || i % 3, 'c' || i, i, 'before' FROM generate_series(1, 500) i",
  );
  await client.query(
    `INSERT INTO "Odd Names"."Select" VALUES ('a', 1, 'x', '{}'), ('ü "quoted"', 2, NULL, '[1]')`,
  );
  await writeOpaque(client, 1);
  for (let id = 1; id <= 4; id++) await writeLarge(client, id);
  await client.query("INSERT INTO log SELECT now(), 'line ' || i FROM generate_series(1, 5) i");
  await client.end();
}

async function mixedTransactions(url: string): Promise<void> {
  const client = await connect(url);
  await writeEveryType(client);
  for (const row of streamedRows) await client.query(`INSERT INTO every_type ${row}`);
  await writeOpaque(client, 2);
  await client.query("UPDATE opaque SET note = 'second'");
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
  expect(comparison.tables.map((table) => table.table)).toHaveLength(7);

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

const keysAndPartitions = `
CREATE TABLE marker (id uuid PRIMARY KEY);
CREATE TABLE by_index (a text NOT NULL, b int NOT NULL, note text, body text);
CREATE UNIQUE INDEX by_index_key ON by_index (b, a);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_key;
CREATE TABLE parted (id int, at date, note text, body text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE SCHEMA other;
CREATE TABLE other."2024, \\ $x" PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE parted_2025 (note text, at date NOT NULL, body text, id int NOT NULL);
ALTER TABLE parted ATTACH PARTITION parted_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE parted_2026 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY HASH (id);
CREATE TABLE parted_2026_even PARTITION OF parted_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted_2026_odd PARTITION OF parted_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER TABLE by_index ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE parted ALTER COLUMN body SET STORAGE EXTERNAL;
INSERT INTO by_index SELECT 'a' || i, i, 'snapshot', repeat(i::text, 3000) FROM generate_series(1, 9) i;
INSERT INTO parted SELECT i, '2024-01-01'::date + i * 30, 'snapshot', repeat(i::text, 3000) FROM generate_series(1, 30) i;`;

const changesOfThem = `
UPDATE by_index SET note = 'updated' WHERE b < 4;
UPDATE by_index SET b = b + 100, note = 'moved' WHERE b BETWEEN 3 AND 5;
DELETE FROM by_index WHERE b IN (1, 9);
UPDATE parted SET note = 'updated' WHERE id % 3 = 0;
UPDATE parted SET at = at + 365, note = 'moved' WHERE id IN (7, 14, 21);
UPDATE parted SET id = id + 100 WHERE id % 11 = 0;
DELETE FROM parted WHERE id % 5 = 0;
CREATE TABLE parted_2027 PARTITION OF parted FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
INSERT INTO parted VALUES (1000, '2027-02-03', 'of a partition made later', NULL);`;

it("carries partitioned tables under their own name, and tables whose key is a unique index", async () => {
  await using pipeline = await startPipeline({
    shards: 4,
    prepare: async (url) => {
      const client = await connect(url);
      await client.query(keysAndPartitions);
      await client.end();
    },
  });
  expect(await runSluice(["migrate", "--from-source"], pipeline.environment)).toMatchObject({ code: 0 });
  await using sluice = await startSluice(pipeline.environment);
  await sluice.waitReady();
  const primary = await connect(pipeline.primaryUrl);
  const read = await connect(pipeline.readUrl);
  const expectEqual = async (): Promise<void> => {
    await waitUntilCaughtUp({ ...pipeline, httpUrl: sluice.httpUrl });
    for (const sql of ["SELECT * FROM by_index ORDER BY b", "SELECT * FROM parted ORDER BY id"]) {
      const rows = (await read.query<{ _sluice_lsn?: string }>(sql)).rows;
      for (const row of rows) delete row._sluice_lsn;
      expect(rows).toEqual((await primary.query(sql)).rows);
    }
  };
  for (const statement of changesOfThem.trim().split("\n")) await primary.query(statement);
  await expectEqual();
  await primary.query(
    "TRUNCATE parted, by_index; INSERT INTO parted VALUES (1, '2024-05-05', 'after', NULL)",
  );
  await expectEqual();
  await primary.end();
  await read.end();
});

it("connects Debezium with a password that has dollar signs", async () => {
  await using pipeline = await startPipeline({ shards: 1 });
  const [role, password] = ["d$$ollar${x}", "p$a$$s${SOURCE_HOST}w$"];
  const client = await connect(pipeline.primaryUrl);
  const { rows } = await client.query<{ hba_file: string }>("SHOW hba_file");
  await client.query(`CREATE ROLE ${client.escapeIdentifier(role)} SUPERUSER LOGIN PASSWORD '${password}'`);
  await client.query(
    `COPY (VALUES ('host all ${client.escapeIdentifier(role)} all scram-sha-256'), ('host all all all trust')) TO '${rows[0]?.hba_file}'`,
  );
  await client.query("SELECT pg_reload_conf()");
  await client.end();
  const primary = new URL(pipeline.primaryUrl);
  primary.username = encodeURIComponent(role);
  primary.password = encodeURIComponent("wrong");
  await expect(connect(primary.href)).rejects.toThrow("password");
  primary.password = encodeURIComponent(password);
  const debezium = await startDebezium({
    folder: join(pipeline.folder, "dollar"),
    primary: primary.href,
    redis: new URL(pipeline.redisUrl).host,
    environment: { SLOT_NAME: "dollar", STREAM_PREFIX: "dollar." },
  });
  try {
    await debezium.waitUntilStreaming();
  } finally {
    await debezium.stop();
  }
});
