/** What the program runs with, after flags, environment, file and defaults were merged. Times are milliseconds. */
export interface Config {
  readonly redisUrl: string;
  /** The read database. */
  readonly databaseUrl: string;
  /** The primary; only `migrate --from-source` and `check` read it. */
  readonly sourceUrl: string | undefined;
  /** Names of the shards' streams, braces expanded. */
  readonly streams: readonly string[];
  readonly group: string;
  readonly pipeline: string;
  readonly member: string;
  readonly httpAddress: string;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  readonly leaseMs: number;
  readonly maintenanceIntervalMs: number;
  readonly retainAgeMs: number;
  readonly retainEntries: number | undefined;
  readonly retainBytes: number | undefined;
  /** Memory of Redis above which applied entries are removed although they are young: a size, or a percentage of its `maxmemory`. */
  readonly memoryHigh: string;
  /** What Debezium writes for an absent key. */
  readonly nullKey: string;
  /** Patterns like `public.*` and `!public.audit`; empty: every table. */
  readonly tables: readonly string[];
  /** Most entries of one read. */
  readonly batchEntries: number;
  /** Bytes of one batch, aimed at; a single larger entry is a batch of its own. */
  readonly batchBytes: number;
  /** How long a read of an idle shard waits. */
  readonly readBlockMs: number;
  /** Connections to the read database. */
  readonly databaseConnections: number;
  /** How soon a stopped shard looks again whether its cause is gone. */
  readonly stoppedRetryMs: number;
  /** Longest pause between two tries of a transient failure. */
  readonly retryMaxMs: number;
  /** How long the members may take to finish their batches on SIGTERM. */
  readonly drainDeadlineMs: number;
}
