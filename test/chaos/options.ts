import { parseArgs } from "node:util";

export interface ChaosOptions {
  readonly seed: number;
  readonly faults: number;
  /** How long the faults go on; start, measurements and ends come on top. */
  readonly minutes: number;
  /** Where the report is written. */
  readonly report: string | undefined;
}

const usage = "npm run chaos -- [--seed N] [--faults N] [--minutes N] [--report FILE]";

export function readOptions(args: readonly string[]): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string" },
      faults: { type: "string", default: "200" },
      minutes: { type: "string" },
      report: { type: "string" },
    },
  });
  const faults = positive(values.faults);
  return {
    faults,
    seed: values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : positive(values.seed),
    minutes: values.minutes === undefined ? faults / 55 : positive(values.minutes),
    report: values.report,
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new Error(`not a number: ${text}; usage: ${usage}`);
  return value;
}
