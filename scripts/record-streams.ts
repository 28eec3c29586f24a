import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import pg from "pg";
import { everyColumn, everyTypeRows } from "../test/e2e/every-type.rows.ts";
import { startPipeline, type RunningPipeline } from "../test/support/pipeline.ts";

/**
 * Records what the real Debezium Server writes: `npm run record-streams`. The recording goes to a folder named after the
 * version, and the unit tests decode it; the statements that lead to it are in test/fixtures. Ids, positions and times are those of
 * the run, everything else is the same in each.
 */
const root = fileURLToPath(new URL("..", import.meta.url));
const fixtures = join(root, "test", "fixtures");
const shards = 4;
const lastMarker = "ffffffff-ffff-ffff-ffff-ffffffffffff";

interface RecordedEntry {
  readonly stream: string;
  readonly id: string;
  /** Names and values in turn, as text. */
  readonly fields: readonly string[];
}

async function prepare(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query(readFileSync(join(root, "test", "e2e", "every-type.sql"), "utf8"));
    await client.query(readFileSync(join(fixtures, "before-snapshot.sql"), "utf8"));
    await writeEveryType(client);
  });
}

async function writeEveryType(client: pg.Client): Promise<void> {
  for (const row of everyTypeRows)
    await client.query(`INSERT INTO every_type (${everyColumn}) VALUES (${row})`);
}

async function stream(client: pg.Client): Promise<void> {
  await writeEveryType(client);
  for (const line of readFileSync(join(fixtures, "streamed.sql"), "utf8").split("\n")) {
    if (line !== "" && !line.startsWith("--")) await client.query(line);
  }
}

/** A second snapshot while changes flow; its rows come without a position of their own. */
async function snapshotAgain(client: pg.Client, redis: Redis): Promise<void> {
  const request = JSON.stringify({ type: "incremental", "data-collections": ["public.composite"] });
  await client.query("INSERT INTO debezium_signal VALUES ('again', 'execute-snapshot', $1)", [request]);
  const { rows } = await client.query<{ count: number }>("SELECT count(*)::int FROM composite");
  const wanted = rows[0]?.count ?? 0;
  await untilRecorded(redis, (entries) => {
    const found = entries.filter(({ fields }) =>
      fields.some((each) => each.includes('"snapshot":"incremental"')),
    );
    return found.length === wanted;
  });
}

/** Debezium appends in commit order: with the marker, all that was committed before it is there. */
async function mark(client: pg.Client, redis: Redis): Promise<readonly RecordedEntry[]> {
  await client.query("INSERT INTO marker VALUES ($1)", [lastMarker]);
  return untilRecorded(redis, (entries) =>
    entries.some(({ fields }) => fields.some((each) => each.includes(lastMarker))),
  );
}

async function untilRecorded(
  redis: Redis,
  isEnough: (entries: readonly RecordedEntry[]) => boolean,
): Promise<readonly RecordedEntry[]> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const entries = await readStreams(redis);
    if (isEnough(entries)) return entries;
    if (performance.now() > deadline) throw new Error(`still waiting after ${entries.length} entries`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Every stream that there is, also one that nobody expects. */
async function readStreams(redis: Redis): Promise<readonly RecordedEntry[]> {
  const names: string[] = [];
  for await (const found of redis.scanStream({ type: "stream" })) names.push(...(found as string[]));
  const entries: RecordedEntry[] = [];
  for (const name of [...new Set(names)].sort()) {
    for (const [id, fields] of await redis.xrange(name, "-", "+")) entries.push({ stream: name, id, fields });
  }
  return entries;
}

async function about(client: pg.Client, redis: Redis, entries: readonly RecordedEntry[]): Promise<object> {
  const { rows } = await client.query<{ version: string }>(
    "SELECT current_setting('server_version') AS version",
  );
  return {
    producer: `Debezium Server ${debeziumVersion(entries)}`,
    postgresql: rows[0]?.version,
    redis: /redis_version:(\S+)/.exec(await redis.info("server"))?.[1],
    date: new Date().toISOString().slice(0, 10),
    madeBy: "npm run record-streams",
    entries: entries.length,
    shards,
    settings: settings(),
  };
}

/** The settings of debezium/application.properties that do not come from the environment. */
function settings(): Readonly<Record<string, string>> {
  const lines = readFileSync(join(root, "debezium", "application.properties"), "utf8").split("\n");
  const pairs = lines
    .filter((line) => /^debezium\.[^=]+=[^$]*$/.test(line))
    .map((line) => line.split(/=(.*)/s));
  return Object.fromEntries(pairs.map(([name = "", value = ""]) => [name, value]));
}

function debeziumVersion(entries: readonly RecordedEntry[]): string {
  for (const { fields } of entries) {
    const found = /"source":\{"version":"([\w.-]+)"/.exec(fields[fields.indexOf("value") + 1] ?? "");
    if (found?.[1] !== undefined) return found[1];
  }
  throw new Error("no entry tells Debezium's version");
}

async function withClient(url: string, use: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

async function record(pipeline: RunningPipeline): Promise<void> {
  const redis = new Redis(pipeline.redisUrl);
  try {
    await withClient(pipeline.primaryUrl, async (client) => {
      await stream(client);
      await snapshotAgain(client, redis);
      const entries = await mark(client, redis);
      const folder = join(fixtures, `debezium-${debeziumVersion(entries)}`);
      mkdirSync(folder, { recursive: true });
      const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
      writeFileSync(join(folder, "streams.jsonl"), lines);
      writeFileSync(
        join(folder, "about.json"),
        `${JSON.stringify(await about(client, redis, entries), undefined, 2)}\n`,
      );
      process.stdout.write(`${entries.length} entries, ${lines.length} bytes: ${folder}\n`);
    });
  } finally {
    redis.disconnect();
  }
}

await using pipeline = await startPipeline({
  shards,
  prepare,
  debezium: { DEBEZIUM_SOURCE_SIGNAL_DATA_COLLECTION: "public.debezium_signal" },
});
await record(pipeline);
