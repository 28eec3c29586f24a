import { measure } from "./contender.ts";
import { emptyRedis } from "./fill-streams.ts";
import { insertLoad } from "./loads/insert.ts";
import type { Load } from "./loads/load.ts";
import { ordersTable } from "./loads/orders-table.ts";
import { scatteredLoad } from "./loads/scattered.ts";
import { step } from "./progress.ts";
import { sluiceContender, type SluiceContender } from "./sluice-contender.ts";
import type { SluiceRun } from "./sluice-run.ts";
import type { Stage } from "./stage.ts";

/** What one thing grown large does to rate and memory, everything else left as it is. */
export interface GrowthCell {
  readonly what: string;
  readonly entries: number;
  readonly runs: readonly SluiceRun[];
}

interface Cell extends GrowthCell {
  readonly contender: SluiceContender;
  readonly runs: SluiceRun[];
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

/**
 * The sizes of one thing run in turns, so that a slow moment of the machine is none of one size alone. Their streams are filled before, since
 * what that leaves to be written to disk would slow a measurement.
 */
export async function measureGrowth(
  stage: Stage,
  options: GrowthOptions,
  tell: (cell: GrowthCell) => void,
): Promise<void> {
  for (const sizes of thingsThatGrow(options)) {
    await emptyRedis(stage.redisUrl);
    const cells: Cell[] = [];
    for (const { what, load, shards } of sizes) {
      const contender = await step(`${what}: streams filled`, () => sluiceContender(stage, load, { shards }));
      cells.push({ what, entries: load.size, contender, runs: [] });
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const { what, contender, runs } of cells) {
        runs.push(await step(what, () => measure(contender)));
      }
    }
    for (const cell of cells) {
      tell(cell);
      await cell.contender.end?.();
    }
  }
}

function thingsThatGrow({ rows, full }: GrowthOptions): Plan[][] {
  const backlogs = [10_000, 100_000, 1_000_000, ...(full ? [3_000_000] : [])];
  const sizes = [0, 1_000_000, ...(full ? [10_000_000] : [])];
  return [
    backlogs.map((size) => ({ what: `waiting entries ${size}`, load: insertLoad(size), shards: 8 })),
    [1, 8, 64].map((shards) => ({ what: `shards ${shards}`, load: insertLoad(rows), shards })),
    [1, 10, 100].map((tables) => ({
      what: `tables ${tables}`,
      load: tablesLoad(rows, tables),
      shards: 8,
    })),
    sizes.map((size) => ({
      what: `rows in the table ${size}`,
      load: scatteredLoad(rows, size),
      shards: 8,
    })),
  ].map((plans, thing) =>
    plans.map((plan, size) => ({ ...plan, load: { ...plan.load, name: `growth_${thing}_${size}` } })),
  );
}

function tablesLoad(rows: number, tables: number): Load {
  return insertLoad(
    rows,
    Array.from({ length: tables }, (_, index) => ordersTable(`orders_${index}`)),
  );
}
