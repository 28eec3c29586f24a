import { execute } from "./database.ts";
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

/** One measurement, which leaves nothing to autovacuum: within a minute it would work on these rows, beside what is measured then. */
export async function measure<Run extends Measurement>(contender: { run(): Promise<Run> }): Promise<Run> {
  const run = await contender.run();
  await execute(run.databaseUrl, "VACUUM ANALYZE");
  return run;
}
