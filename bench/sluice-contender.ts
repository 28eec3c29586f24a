import type { Contender, Measurement } from "./contender.ts";
import { fillStreams, forgetReaders } from "./fill-streams.ts";
import type { Load } from "./loads/load.ts";
import { streamNames } from "./member.ts";
import { prepareSluiceDatabase } from "./sluice-database.ts";
import { measureSluice, type SluiceRun } from "./sluice-run.ts";
import { forgetStatementTimes, sayStatementTimes } from "./statement-times.ts";
import { dropDatabase, freshDatabase, type Stage } from "./stage.ts";

export interface SluiceContender extends Contender {
  readonly meanValueBytes: number;
  run(): Promise<SluiceRun & Measurement>;
}

export interface SluiceContenderOptions {
  readonly shards?: number;
  /** Folder for a CPU profile of each run; the longest statements are then said too. */
  readonly profile?: string | undefined;
}

/** The streams are filled once; each run has a database of its own and reads them from their beginning. */
export async function sluiceContender(
  stage: Stage,
  load: Load,
  { shards = 8, profile }: SluiceContenderOptions = {},
): Promise<SluiceContender> {
  const streams = streamNames(shards, load.name);
  const { lastIds, meanValueBytes } = await fillStreams(stage.redisUrl, streams, load);
  const template = await prepareSluiceDatabase(stage, load);
  return {
    name: "sluice",
    meanValueBytes,
    async end() {
      await dropDatabase(stage.target, `${template}_run`);
      await dropDatabase(stage.target, template);
    },
    async run() {
      await forgetReaders(stage.redisUrl, streams);
      const databaseUrl = await freshDatabase(stage.target, template);
      if (profile === undefined)
        return { databaseUrl, ...(await measureSluice({ stage, databaseUrl, lastIds, nodeArguments: [] })) };
      await forgetStatementTimes(stage.target);
      const nodeArguments = ["--cpu-prof", `--cpu-prof-dir=${profile}`];
      const run = await measureSluice({ stage, databaseUrl, lastIds, nodeArguments });
      await sayStatementTimes(stage.target, databaseUrl);
      return { databaseUrl, ...run };
    },
  };
}
