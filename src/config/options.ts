import { hostname } from "node:os";
import { z } from "zod";
import type { Config } from "./config.ts";
import { parseTablePattern } from "./table-pattern.ts";
import {
  addressValue,
  durationValue,
  enumValue,
  integerValue,
  listValue,
  memoryLimitValue,
  sizeValue,
  stringValue,
  urlValue,
  type ValueType,
} from "./values.ts";

/**
 * Every option, once. Flags, environment names, YAML keys, help, the JSON Schema and the reference page come from this
 * table, so they cannot disagree.
 */
export interface Option<T> {
  readonly type: ValueType<Exclude<T, undefined>>;
  readonly description: string;
  /** As it would be written in a file; undefined: unset. */
  readonly default?: string;
  /** What the default is made of, when it differs from machine to machine. */
  readonly defaultNote?: string;
  /** May hold a password: also read from the file that `…_FILE` names, and never shown whole. */
  readonly secret?: true;
  readonly requiredBy?: readonly CommandName[];
}

export type CommandName =
  | "run"
  | "check"
  | "status"
  | "migrate"
  | "replay"
  | "trim"
  | "accept"
  | "config"
  | "healthcheck";
export type OptionKey = keyof Config;

const postgres = ["postgresql", "postgres"];

export const options = {
  redisUrl: {
    type: urlValue(["redis", "rediss"]),
    description:
      "Redis that holds the shards' streams; by a Unix-domain socket: redis://localhost/0?path=/run/redis/redis.sock.",
    secret: true,
    requiredBy: ["run", "check", "status", "replay", "trim", "accept"],
  },
  databaseUrl: {
    type: urlValue(postgres),
    description:
      "The read database, written by sluice; by a Unix-domain socket: postgres://sluice@localhost/reads?host=/run/postgresql.",
    secret: true,
    requiredBy: ["run", "check", "status", "migrate", "replay", "trim", "accept"],
  },
  sourceUrl: {
    type: urlValue(postgres),
    description: "The primary. Only `migrate` and `check` read its catalog; `run` never connects to it.",
    secret: true,
  },
  streams: {
    type: listValue(1),
    default: "cdc.{0..7}",
    description: "Streams of the shards; ranges and lists in braces are expanded.",
  },
  group: { type: stringValue(), default: "sluice", description: "Consumer group in Redis." },
  pipeline: {
    type: stringValue(),
    default: "default",
    description:
      "Name under which checkpoints and members are kept; members of one pipeline share its shards.",
  },
  member: {
    type: stringValue(),
    default: `${hostname()}-${process.pid}`,
    defaultNote: "host-pid",
    description:
      "Name of this process, unique in its pipeline. A fixed name takes its own leases back at once.",
  },
  httpAddress: {
    type: addressValue(),
    default: "127.0.0.1:9470",
    description: "Where health, status and metrics are served.",
  },
  logLevel: {
    type: enumValue(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
    default: "info",
    description: "Least level that is logged.",
  },
  leaseMs: {
    type: durationValue(1_000),
    default: "10s",
    description: "How long a shard stays with a member that gives no sign of life.",
  },
  maintenanceIntervalMs: {
    type: durationValue(100),
    default: "15s",
    description: "Pause between two rounds of maintenance: deregistering, trimming, watching.",
  },
  retainAgeMs: {
    type: durationValue(0),
    default: "1h",
    description: "How long applied entries stay in the streams, so that they can be replayed.",
  },
  retainEntries: {
    type: integerValue(0),
    description: "Most applied entries that stay in a stream; unset: no such limit.",
  },
  retainBytes: {
    type: sizeValue(0),
    description: "Most memory of a stream's applied entries; unset: no such limit.",
  },
  memoryHigh: {
    type: memoryLimitValue(),
    default: "80%",
    description:
      "Memory in use at Redis above which applied entries go although they are young: a share of its maxmemory, or a size.",
  },
  nullKey: {
    type: stringValue(),
    default: "default",
    description: "What Debezium writes for an absent key (debezium.sink.redis.null.key).",
  },
  tables: {
    type: listValue(0, (name) =>
      parseTablePattern(name) === undefined ? `"${name}" is not schema.table, like public.orders` : undefined,
    ),
    default: "",
    description: "Tables to carry, as patterns like `public.*` and `!public.audit`; empty: every table.",
  },
  batchEntries: { type: integerValue(1, 100_000), default: "1500", description: "Most entries of one read." },
  batchBytes: {
    type: sizeValue(1024),
    default: "8MiB",
    description: "Bytes of one batch, aimed at; a single larger entry is a batch of its own.",
  },
  readBlockMs: {
    type: durationValue(1),
    default: "1s",
    description: "How long a read of an idle shard waits for entries.",
  },
  databaseConnections: {
    type: integerValue(1, 1000),
    default: "4",
    description: "Most connections to the read database that apply batches, each a transaction at a time.",
  },
  stoppedRetryMs: {
    type: durationValue(10),
    default: "10s",
    description: "How soon a stopped shard looks again whether its cause is gone.",
  },
  retryMaxMs: {
    type: durationValue(10),
    default: "5s",
    description: "Longest pause between two tries after a transient failure.",
  },
  drainDeadlineMs: {
    type: durationValue(1),
    default: "20s",
    description: "How long the batches at hand may take on SIGTERM before the process ends all the same.",
  },
} satisfies { readonly [K in OptionKey]: Option<Config[K]> };

/** An option with the names that it goes by. */
export interface NamedOption extends Option<unknown> {
  readonly key: OptionKey;
  /** Key in the YAML file. */
  readonly name: string;
  readonly env: string;
  /** Without the dashes. */
  readonly flag: string;
}

export const optionList: readonly NamedOption[] = Object.entries<Option<unknown>>(options).map(
  ([key, option]) => {
    const name = key.replace(/Ms$/, "");
    const words = name.split(/(?=[A-Z])/).map((word) => word.toLowerCase());
    return {
      ...option,
      key: key as OptionKey,
      name,
      env: `SLUICE_${words.join("_").toUpperCase()}`,
      flag: words.join("-"),
    };
  },
);

/** Names the YAML file; itself not an option, since a file cannot name itself. */
export const configFileEnv = "SLUICE_CONFIG";

/** JSON Schema of the YAML file. */
export function configJsonSchema(): Record<string, unknown> {
  const shape = Object.fromEntries(
    optionList.map((option) => {
      const note =
        option.default === undefined
          ? ""
          : ` Default: ${option.defaultNote ?? JSON.stringify(option.default)}.`;
      return [option.name, option.type.schema.optional().describe(`${option.description}${note}`)];
    }),
  );
  const schema = z.toJSONSchema(z.strictObject(shape), { io: "input" });
  return { ...schema, title: "Configuration of sluice" };
}
