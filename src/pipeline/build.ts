import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { PoolClient } from "pg";
import { Catalog } from "../catalog/catalog.ts";
import { tableFilter } from "../catalog/table-filter.ts";
import type { Config } from "../config/config.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { ProgressListener } from "../observe/progress.ts";
import { Maintenance } from "../maintenance/maintenance.ts";
import { batchesOfTransaction, Committer } from "../sink/committer.ts";
import { openPool } from "../sink/connect.ts";
import { DecisionStore } from "../sink/decision-store.ts";
import { MemberStore } from "../sink/member-store.ts";
import { requireSchema } from "../sink/migrations.ts";
import { SecondLook } from "../sink/second-look.ts";
import { ShardStore } from "../sink/shard-store.ts";
import { StreamRecordStore } from "../sink/stream-record-store.ts";
import { BufferPool } from "../source/buffer-pool.ts";
import { readShare, type ReadShare } from "../source/read-size.ts";
import { ReadTurns } from "../source/read-turns.ts";
import { RedisWatch } from "../source/redis-watch.ts";
import type { ShardReader } from "../source/shard-reader.ts";
import type { Pipeline } from "./pipeline.ts";
import { giveBack, ownShard } from "./shard-session.ts";
import { Supervisor } from "./supervisor.ts";

export interface PipelineParts {
  readonly progress: ProgressListener;
  readonly version: string;
}

/** Assembles a member from its configuration; nothing is opened before `start`. */
export function buildPipeline(config: Config, parts: PipelineParts): Pipeline {
  const { progress } = parts;
  const pool = sinkPool(config, config.databaseConnections);
  // Leases are kept on connections of their own: they must not wait behind batches.
  const leases = sinkPool(config, 2);
  const catalog = new Catalog(leases);
  const own = { pool: leases, pipeline: config.pipeline, member: config.member, leaseMs: config.leaseMs };
  const shards = new ShardStore(own);
  const identity = { name: config.member, host: hostname(), version: parts.version, instance: randomUUID() };
  const includes = tableFilter(config.tables);
  const decisions = new DecisionStore(leases, config.pipeline);
  const records = new StreamRecordStore(leases, config.pipeline);
  const secondLook = new SecondLook(leases, catalog);
  const committer = new Committer({
    ...{ pool, shards, connections: config.databaseConnections },
    mostEntries: () => {
      const batches = batchesOfTransaction(supervisor.shards * share().entries, config.databaseConnections);
      return Math.floor(batches * config.batchEntries);
    },
    mostBytes: config.batchBytes,
  });
  const buffers = new BufferPool(2 * config.databaseConnections);
  const turns = new ReadTurns();
  const share = (): ReadShare => readShare(supervisor.shards);
  const readers = new Map<string, ShardReader>();
  const reading = (stream: string, reader: ShardReader | undefined): void => {
    if (reader === undefined) readers.delete(stream);
    else readers.set(stream, reader);
  };
  const supervisor = new Supervisor({
    config,
    members: new MemberStore(leases, config.pipeline, identity),
    shards,
    progress,
    requireSchema: () => onClient(leases, requireSchema),
    redis: redisWatch(config),
    refreshCatalog: () => catalog.refresh(),
    secondLook: () => secondLook.look(),
    own: (lease, stopping) =>
      ownShard(
        {
          config,
          pool,
          catalog,
          shards,
          decisions,
          records,
          progress,
          includes,
          reading,
          buffers,
          turns,
          share,
          committer,
        },
        lease,
        stopping,
      ),
    giveBack: (lease, signal) => giveBack({ config, buffers, turns, share }, shards, lease, signal),
  });
  const upkeep = sinkPool(config, 1);
  const maintenance = new Maintenance({
    config,
    database: upkeep,
    progress,
    owned: () =>
      supervisor.streams.map((stream) => ({
        stream,
        isRead: readers.has(stream),
        removeConsumers: (names) => readers.get(stream)?.removeConsumers(names),
        countDeleted: (entries) => readers.get(stream)?.countDeleted(entries),
      })),
  });
  const drain = async (): Promise<void> => {
    await Promise.all([maintenance.stop(), supervisor.drain()]);
    await Promise.all([pool.end(), leases.end(), upkeep.end()]);
  };
  let draining: Promise<void> | undefined;
  return {
    start: async () => {
      await supervisor.start();
      maintenance.start();
    },
    drain: () => (draining ??= within(config.drainDeadlineMs, drain())),
    failed: supervisor.failed,
    health: () => supervisor.health(),
  };
}

/** Time limits below the lease: a frozen member must not hold a shard's row beyond it. */
function sinkPool(config: Config, max: number): ReturnType<typeof openPool> {
  const limit = Math.floor(config.leaseMs * 0.8);
  return openPool({
    url: config.databaseUrl,
    applicationName: `sluice:${config.member}`,
    max,
    statementTimeoutMs: limit,
    idleInTransactionTimeoutMs: limit,
    answerTimeoutMs: Math.min(limit + 1_000, Math.floor(config.leaseMs * 0.9)),
    applying: true,
  });
}

async function onClient(
  pool: ReturnType<typeof openPool>,
  work: (client: PoolClient) => Promise<void>,
): Promise<void> {
  const client = await pool.connect();
  try {
    await work(client);
  } finally {
    client.release();
  }
}

/** Answers in time enough for a member to be cut off, its shards given away and taken, within the lease. */
function redisWatch({ redisUrl: url, member, leaseMs }: Config): RedisWatch {
  const [pauseMs, answerMs] = [Math.min(leaseMs / 10, 300), Math.min(leaseMs / 4, 2_000)];
  return new RedisWatch({ url, name: `sluice:${member}`, pauseMs, answerMs });
}

async function within(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new SluiceError(
      "INTERNAL",
      `draining took longer than ${milliseconds} ms; leases run out by themselves`,
    );
    timer = setTimeout(() => reject(error), milliseconds);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
