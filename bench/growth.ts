import { insertLoad } from "./loads/insert.ts";
import type { Load } from "./loads/load.ts";
import { ordersTable } from "./loads/orders-table.ts";
import { scatteredLoad } from "./loads/scattered.ts";
import { step } from "./progress.ts";
import { sluiceContender } from "./sluice-contender.ts";
import type { SluiceRun } from "./sluice-run.ts";
import { dropDatabase, type Stage } from "./stage.ts";

/** What one thing grown large does to rate and memory, everything else left as it is. */
export interface GrowthCell {
  readonly what: string;
  readonly entries: number;
  readonly runs: readonly SluiceRun[];
}

interface GrowthOptions {
  /** Entries of a run, where the backlog is not what grows. */
  readonly rows: number;
  readonly rounds: number;
  readonly full: boolean;
}

interface Plan {
  readonly what: string;
  readonly load: Load;
  readonly shards: number;
}

/** Each size is told as soon as it is measured. */
export async function measureGrowth(
  stage: Stage,
  options: GrowthOptions,
  tell: (cell: GrowthCell) => void,
): Promise<void> {
  for (const { what, load, shards } of plansOf(options)) {
    const runs: SluiceRun[] = [];
    await step(what, async () => {
      const contender = await sluiceContender(stage, load, { shards });
      while (runs.length < options.rounds) runs.push(await contender.run());
    });
    tell({ what, entries: load.size, runs });
    await dropDatabase(stage.target, `sluice_${load.name}_run`);
    await dropDatabase(stage.target, `sluice_${load.name}`);
  }
}

function plansOf({ rows, full }: GrowthOptions): Plan[] {
  const backlogs = [10_000, 100_000, 1_000_000, ...(full ? [3_000_000] : [])];
  const sizes = [0, 1_000_000, ...(full ? [10_000_000] : [])];
  return [
    ...backlogs.map((size) => ({ what: `waiting entries ${size}`, load: insertLoad(size), shards: 8 })),
    ...[1, 8, 64].map((shards) => ({ what: `shards ${shards}`, load: insertLoad(rows), shards })),
    ...[1, 10, 100].map((tables) => ({
      what: `tables ${tables}`,
      load: tablesLoad(rows, tables),
      shards: 8,
    })),
    ...sizes.map((size) => ({
      what: `rows in the table ${size}`,
      load: scatteredLoad(rows, size),
      shards: 8,
    })),
  ].map((plan, index) => ({ ...plan, load: { ...plan.load, name: `growth_${index}` } }));
}

function tablesLoad(rows: number, tables: number): Load {
  return insertLoad(
    rows,
    Array.from({ length: tables }, (_, index) => ordersTable(`orders_${index}`)),
  );
}
