import { measure, type Contender, type Measurement } from "./contender.ts";
import type { Load } from "./loads/load.ts";
import { copyContender } from "./references/copy.ts";
import { logicalReplicationContender } from "./references/logical-replication.ts";
import { step } from "./progress.ts";
import { sameRows } from "./same-rows.ts";
import { emptyRedis } from "./fill-streams.ts";
import { sluiceContender } from "./sluice-contender.ts";
import type { Stage } from "./stage.ts";

export interface ThroughputOptions {
  readonly rounds: number;
  readonly references: boolean;
  readonly profile: string | undefined;
}

/** How fast each contender applied one load, round by round. */
export interface ThroughputResult {
  readonly load: string;
  readonly rows: number;
  readonly meanValueBytes: number;
  readonly contenders: readonly ContenderResult[];
}

export interface ContenderResult {
  readonly name: string;
  readonly runs: readonly Measurement[];
}

/** Rounds in which everyone has a turn, so that a slow minute of the machine hits all alike. */
export async function measureThroughput(
  stage: Stage,
  load: Load,
  options: ThroughputOptions,
): Promise<ThroughputResult> {
  await emptyRedis(stage.redisUrl);
  const sluice = await step(`${load.name}: streams filled`, () =>
    sluiceContender(stage, load, { profile: options.profile }),
  );
  const references = options.references
    ? await step(`${load.name}: references prepared`, () => prepareReferences(stage, load))
    : [];
  const contenders = [sluice, ...references];
  const runs = new Map<Contender, Measurement[]>(contenders.map((contender) => [contender, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const contender of contenders) {
      const name = `${load.name}, round ${round} of ${options.rounds}: ${contender.name}`;
      runs.get(contender)?.push(await step(name, () => measure(contender)));
    }
  }
  await checkRows(load, [...runs.values()]);
  for (const contender of contenders) await contender.end?.();
  const results = contenders.map((contender) => ({ name: contender.name, runs: runs.get(contender) ?? [] }));
  return { load: load.name, rows: load.size, meanValueBytes: sluice.meanValueBytes, contenders: results };
}

async function prepareReferences(stage: Stage, load: Load): Promise<Contender[]> {
  const replication = await logicalReplicationContender(stage, load);
  const copy = await copyContender(stage, load);
  return copy === undefined ? [replication] : [copy, replication];
}

/** Speed is worth nothing when the rows differ. */
async function checkRows(load: Load, runs: readonly Measurement[][]): Promise<void> {
  const urls = runs.flatMap((each) => each.at(-1)?.databaseUrl ?? []);
  await step(`${load.name}: all hold the same rows`, () => sameRows(urls, load.tables));
}
