import type { SluiceRun } from "./sluice-run.ts";

/** What is measured beside others: sluice, or something that it is compared with. */
export interface Contender {
  readonly name: string;
  /** One measurement, from an untouched database to all of the load applied. */
  run(): Promise<Measurement>;
  /** Gives back what the measurements needed. */
  readonly end?: () => Promise<void>;
}

export interface Measurement extends Partial<Omit<SluiceRun, "seconds">> {
  readonly seconds: number;
  /** Where the rows are afterwards. */
  readonly databaseUrl: string;
}
