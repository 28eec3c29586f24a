import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { expect, it } from "vitest";
import { compareDatabases } from "../../demo/compare.ts";
import { startDebezium, type DebeziumServer } from "../../demo/local/debezium-server.ts";
import { findPostgresFolder } from "../../demo/local/locate.ts";
import { startPostgres } from "../../demo/local/postgres-cluster.ts";
import { runToEnd } from "../../demo/local/process.ts";
import { markerTable, statusOf, waitUntilCaughtUp } from "../support/caught-up.ts";
import { startPipeline, type RunningPipeline } from "../support/pipeline.ts";
import { runSluice, startSluice } from "../support/sluice-process.ts";

const shards = 4;
const slow = { timeout: 60_000, interval: 100 };

async function onDatabase<Result>(url: string, use: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function fill(url: string): Promise<void> {
  await onDatabase(url, async (client) => {
    await client.query(markerTable);
    await client.query("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL, note text)");
    await client.query("CREATE TABLE passing (id int PRIMARY KEY, note text)");
    await client.query("INSERT INTO account SELECT i, 0, 'new' FROM generate_series(1, 500) i");
    // The log's places rise by a segment each time, whatever is in it.
    for (let segment = 1; segment <= 12; segment++) {
      await client.query("SELECT pg_logical_emit_message(true, 'burn', '')");
      await client.query("SELECT pg_switch_wal()");
    }
  });
}

/** Updates, deletes, re-inserts, key changes and truncates; `stopping` ends it. */
async function load(url: string, stopping: AbortSignal): Promise<void> {
  await onDatabase(url, async (client) => {
    let transactions = 0;
    while (!stopping.aborted || transactions < 50) {
      const id = 1 + Math.floor(Math.random() * 500);
      const values = [id, `n${transactions}`];
      await client.query("BEGIN");
      await client.query(
        "UPDATE account SET balance = balance + 1, note = $2 WHERE id % 50 = $1 % 50",
        values,
      );
      await client.query("DELETE FROM account WHERE id = $1", [id]);
      if (id % 3 > 0) await client.query("INSERT INTO account VALUES ($1, 0, $2)", values);
      if (id % 7 === 0) {
        const newId = 1_000_000_000 + Math.floor(Math.random() * 1e9);
        await client.query("UPDATE account SET id = $2 WHERE id = $1", [id + 1, newId]);
      }
      if (id % 40 === 0) await client.query("TRUNCATE passing");
      await client.query("INSERT INTO passing VALUES ($1, $2) ON CONFLICT DO NOTHING", values);
      await client.query("COMMIT");
      transactions++;
      await pause(5);
    }
  });
}

/** Runs the load until `meanwhile` is over, and for some transactions at least. */
async function underLoad(url: string, meanwhile: () => Promise<unknown>): Promise<void> {
  const stopping = new AbortController();
  const loaded = load(url, stopping.signal);
  loaded.catch(() => undefined);
  await meanwhile();
  stopping.abort();
  await loaded;
}

async function walBytes(url: string): Promise<number> {
  const { rows } = await onDatabase(url, (client) =>
    client.query<{ bytes: number }>("SELECT (pg_current_wal_lsn() - '0/0')::float8 AS bytes"),
  );
  return rows[0]?.bytes ?? 0;
}

/** As an operator does, from yesterday's dump or today's. */
async function restore(from: string, to: string, folder: string): Promise<void> {
  const programs = findPostgresFolder() ?? "";
  const file = join(folder, "dump.sql");
  await runToEnd(join(programs, "pg_dump"), ["--no-publications", "--file", file, from]);
  await runToEnd("psql", ["--quiet", "--set", "ON_ERROR_STOP=1", "--file", file, to]);
}

/** How many changes, of one key and place each, are in the streams more than once. */
async function sentAgain(redis: Redis, streams: readonly string[]): Promise<number> {
  const seen = new Set<string>();
  let again = 0;
  for (const stream of streams) {
    for (const [, fields] of await redis.xrange(stream, "-", "+")) {
      const { source, op } = JSON.parse(fields[fields.indexOf("value") + 1] ?? "") as Envelope;
      const what = `${op} ${source.table} ${fields[fields.indexOf("key") + 1]} ${source.lsn}`;
      if (seen.has(what)) again++;
      seen.add(what);
    }
  }
  return again;
}

interface Envelope {
  readonly op: string;
  readonly source: { readonly table: string; readonly lsn: number };
}

/** What sluice has done so far, and what the rows look like. */
async function readState(url: string): Promise<unknown> {
  return await onDatabase(url, async (client) => {
    const { rows } = await client.query(
      `SELECT (SELECT md5(string_agg(a::text, '|' ORDER BY id)) FROM account a) AS account,
         (SELECT md5(string_agg(p::text, '|' ORDER BY id)) FROM passing p) AS passing,
         (SELECT array_agg((stream, checkpoint, changes_applied, changes_skipped) ORDER BY stream) FROM sluice.shard) AS shards`,
    );
    return rows[0];
  });
}

function debeziumOf(
  pipeline: RunningPipeline,
  primary: string,
  environment: Record<string, string>,
): Promise<DebeziumServer> {
  const redis = `127.0.0.1:${pipeline.redis.port}`;
  const folder = join(pipeline.folder, `debezium-${environment["SLOT_NAME"] ?? "again"}`);
  return startDebezium({ folder, primary, redis, shards, environment });
}

it.each(["initial", "no_data"])(
  "stops at a primary that was restored into a new cluster, loses nothing of it once that is accepted (snapshot.mode=%s)",
  async (mode) => {
    await using stack = new AsyncDisposableStack();
    // Offsets that are flushed late: after a crash all comes again.
    const late = { DEBEZIUM_SOURCE_OFFSET_FLUSH_INTERVAL_MS: "600000" };
    const pipeline = stack.use(await startPipeline({ shards, prepare: fill, debezium: late }));
    const redis = stack.adopt(new Redis(pipeline.redisUrl), (client) => client.disconnect());
    const { readUrl, environment, streams } = pipeline;
    expect(await runSluice(["migrate", "--from-source"], environment)).toMatchObject({ code: 0 });
    const sluice = stack.use(await startSluice(environment));
    await sluice.waitReady();

    // A crash of Debezium is no restored primary.
    let again: DebeziumServer | undefined;
    await underLoad(pipeline.primaryUrl, async () => {
      await expect.poll(() => redis.xlen("cdc.0"), slow).toBeGreaterThan(300);
      await pipeline.debezium.kill();
      again = await debeziumOf(pipeline, pipeline.primaryUrl, late);
      await again.waitUntilStreaming();
    });
    await waitUntilCaughtUp({ ...pipeline, httpUrl: sluice.httpUrl });
    expect(await sentAgain(redis, streams)).toBeGreaterThan(100);
    expect(sluice.log()).not.toContain("PRIMARY_REWOUND");
    expect((await compareDatabases(pipeline.primaryUrl, readUrl)).equal).toBe(true);
    await again?.stop();

    const restored = await startPostgres({
      folder: join(pipeline.folder, "restored"),
      settings: { wal_level: "logical" },
    });
    stack.defer(() => restored.stop());
    await restore(pipeline.primaryUrl, restored.url, pipeline.folder);
    expect(await walBytes(restored.url)).toBeLessThan((await walBytes(pipeline.primaryUrl)) / 2);
    await pipeline.primary.stop();
    const before = await readState(readUrl);
    // What happens to the primary before Debezium looks at it again only a snapshot can tell, but for what is gone.
    const unseen = mode === "initial" ? ["DELETE FROM account WHERE id <= 20", "TRUNCATE passing"] : [];
    for (const statement of unseen) await onDatabase(restored.url, (client) => client.query(statement));
    const own = { SLOT_NAME: "restored", PUBLICATION_NAME: "restored", DEBEZIUM_SOURCE_SNAPSHOT_MODE: mode };
    const debezium = await debeziumOf(pipeline, restored.url, own);
    stack.defer(() => debezium.stop());
    await debezium.waitUntilStreaming();
    const codes = async (): Promise<unknown[]> =>
      (await statusOf(sluice.httpUrl))?.shards.map((shard) => shard.lastError?.code) ?? [];
    await underLoad(restored.url, () =>
      expect.poll(codes, slow).toEqual(Array.from({ length: shards }, () => "PRIMARY_REWOUND")),
    );
    expect(await readState(readUrl)).toEqual(before);

    const accepted = await runSluice(["accept", "rewound-primary"], environment);
    expect(accepted).toMatchObject({ code: 0, stdout: expect.stringContaining("accepted") });
    await underLoad(restored.url, () => expect.poll(codes, slow).toEqual(Array(shards).fill(undefined)));
    await waitUntilCaughtUp({ readUrl, primaryUrl: restored.url, httpUrl: sluice.httpUrl });
    const base = /count from (\d+)/.exec(accepted.stdout)?.[1] ?? "";
    for (const table of mode === "initial" ? ["account", "passing"] : [])
      await onDatabase(readUrl, (client) => client.query(`DELETE FROM ${table} WHERE _sluice_lsn < ${base}`));
    const { tables } = await compareDatabases(restored.url, readUrl);
    expect(tables.flatMap((table) => table.differences)).toEqual([]);
    expect(await sluice.stop()).toMatchObject({ code: 0 });
  },
);
