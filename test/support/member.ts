import pg from "pg";
import type { Config } from "../../src/config/config.ts";
import type { ProgressListener } from "../../src/observe/progress.ts";
import { applyMigrations } from "../../src/sink/migrations.ts";

/** A configuration of the defaults but for what tests are to see sooner. */
export function testConfig(
  own: Pick<Config, "databaseUrl" | "redisUrl" | "streams"> & Partial<Config>,
): Config {
  return {
    sourceUrl: undefined,
    group: "sluice",
    pipeline: "default",
    member: "member",
    httpAddress: "127.0.0.1:0",
    logLevel: "silent",
    leaseMs: 10_000,
    maintenanceIntervalMs: 15_000,
    retainAgeMs: 3_600_000,
    retainEntries: undefined,
    retainBytes: undefined,
    memoryHigh: "80%",
    nullKey: "default",
    tables: [],
    batchEntries: 1000,
    batchBytes: 8 * 2 ** 20,
    readBlockMs: 200,
    databaseConnections: 2,
    stoppedRetryMs: 500,
    retryMaxMs: 500,
    drainDeadlineMs: 10_000,
    ...own,
  };
}

/** The bookkeeping schema in the database. */
export async function migrated(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await applyMigrations(client);
  await client.end();
}

export const quietProgress: ProgressListener = {
  entriesRead: () => undefined,
  changesDecoded: () => undefined,
  batchApplied: () => undefined,
  entriesSettled: () => undefined,
  rewound: () => undefined,
  shardState: () => undefined,
  retried: () => undefined,
  standingBy: () => undefined,
  entriesTrimmed: () => undefined,
  consumersRemoved: () => undefined,
  shardRetired: () => undefined,
  tombstonesPruned: () => undefined,
  warningBegan: () => undefined,
  warningEnded: () => undefined,
};
