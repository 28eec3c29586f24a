import { parseArgs } from "node:util";

export const measurements = ["insert", "update", "mixed", "wide", "latency", "growth", "debezium"] as const;
export type MeasurementName = (typeof measurements)[number];

export interface Options {
  readonly only: readonly MeasurementName[];
  /** Changes of insert, update and mixed; wide has a fifth of it. */
  readonly rows: number;
  readonly rounds: number;
  readonly references: boolean;
  readonly peers: boolean;
  readonly full: boolean;
  readonly sockets: boolean;
  /** Where the result is written. */
  readonly json: string | undefined;
  /** Folder for CPU profiles of sluice. */
  readonly profile: string | undefined;
}

export const help = `Measures sluice beside its references on this machine. Needs PostgreSQL and Redis, as npm run demo does.

  npm run bench                     insert, update, mixed, wide (each beside the references), latency; some fifteen minutes
  npm run bench -- --only insert --rounds 1 --rows 100000

  --only <list>      of ${measurements.join(", ")}
  --rows <n>         changes of a load (1000000)
  --rounds <n>       turns of each contender, and of the latency measurement (3)
  --no-references    sluice alone
  --peers            also Debezium Server's JDBC sink, and updates in the order in which it
                     gets them (fetches Debezium once, 0.8 GB)
  --full             growth up to 3 million waiting entries and tables of 10 million rows
  --sockets          sluice, COPY, logical replication and the sender of the latency's load reach the servers by
                     Unix-domain sockets instead of TCP; Debezium's programs cannot
  --profile <folder> a CPU profile of each run of sluice, and its longest statements; figures are then not comparable
  --json <path>      where the result goes (bench/results/<date>.json)

Options of sluice are set as always, by SLUICE_… in the environment, and Debezium Server's by DEBEZIUM_…:
DEBEZIUM_SOURCE_POLL_INTERVAL_MS=5 npm run bench -- --only debezium
`;

/** Throws what is wrong with the arguments; undefined: help was asked for. */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", default: "insert,update,mixed,wide,latency" },
      rows: { type: "string", default: "1000000" },
      rounds: { type: "string", default: "3" },
      "no-references": { type: "boolean", default: false },
      peers: { type: "boolean", default: false },
      full: { type: "boolean", default: false },
      sockets: { type: "boolean", default: false },
      profile: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  return {
    only: values.only.split(",").map(measurementName),
    rows: wholeNumber("--rows", values.rows),
    rounds: wholeNumber("--rounds", values.rounds),
    references: !values["no-references"],
    peers: values.peers,
    full: values.full,
    sockets: values.sockets,
    profile: values.profile,
    json: values.json,
  };
}

function measurementName(text: string): MeasurementName {
  const name = measurements.find((each) => each === text);
  if (name === undefined) throw new Error(`--only wants some of ${measurements.join(", ")}; ${text} is none`);
  return name;
}

function wholeNumber(option: string, text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`${option} wants a whole number above 0`);
  return number;
}
