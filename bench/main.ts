import { measureLatency } from "./latency.ts";
import { measureGrowth } from "./growth.ts";
import { insertLoad } from "./loads/insert.ts";
import type { Load } from "./loads/load.ts";
import { mixedLoad } from "./loads/mixed.ts";
import { orderedUpdateLoad, updateLoad } from "./loads/update.ts";
import { wideLoad } from "./loads/wide.ts";
import { describeMachine } from "./machine.ts";
import { help, parseOptions, type MeasurementName, type Options } from "./options.ts";
import { measureJdbcSink } from "./references/debezium-jdbc.ts";
import { say, step } from "./progress.ts";
import { reportText, writeJson, type Results } from "./report.ts";
import { openStage, postgresSettings, type Stage } from "./stage.ts";
import { statementTimeSettings } from "./statement-times.ts";
import { median } from "./statistics.ts";
import { measureThroughDebezium } from "./through-debezium.ts";
import { measureThroughput } from "./throughput.ts";

async function bench(options: Options): Promise<void> {
  const results: Results = {
    startedAt: new Date().toISOString(),
    machine: await describeMachine(),
    postgresSettings,
    sockets: options.sockets,
    throughput: [],
    latency: [],
    growth: [],
  };
  try {
    await measure(options, results);
  } finally {
    // What was measured before a failure took its time and is worth seeing.
    process.stdout.write(`${reportText(results)}\n\n${writeJson(results, options.json)}\n`);
  }
}

async function measure(options: Options, results: Results): Promise<void> {
  const { only } = options;
  const loads = loadsOf(options);
  if (loads.length > 0)
    await onStage(options, async (stage) => {
      for (const load of loads) results.throughput.push(await measureThroughput(stage, load, options));
    });
  if (only.includes("latency")) await onStage(options, (stage) => measureLatencies(stage, results, options));
  if (only.includes("growth"))
    await onStage(options, (stage) => measureGrowth(stage, options, (cell) => results.growth.push(cell)));
  if (only.includes("debezium"))
    await onStage(options, async (stage) => {
      results.throughDebezium = await measureThroughDebezium(stage);
    });
  if (options.peers)
    await onStage(options, async (stage) => {
      results.jdbcSink = await measureJdbcSink(stage);
    });
  if (options.peers)
    await onStage(options, async (stage) => {
      const load = orderedUpdateLoad(options.rows);
      results.throughput.push(await measureThroughput(stage, load, { ...options, references: false }));
    });
}

/** On servers of its own: those that held millions of rows vacuum them and write them to disk for minutes, beside what is measured next. */
async function onStage({ profile, sockets }: Options, run: (stage: Stage) => Promise<void>): Promise<void> {
  await using stage = await step("PostgreSQL and Redis are started", () =>
    openStage({ sockets, more: profile === undefined ? {} : statementTimeSettings }),
  );
  await run(stage);
}

/** What the load of the latency measurement is a third of, when no capacity was measured. */
const assumedCapacity = 45_000;

async function measureLatencies(
  stage: Stage,
  { throughput, latency }: Results,
  { rounds }: Options,
): Promise<void> {
  const insert = throughput.find((result) => result.load === "insert");
  const rates = insert?.contenders[0]?.runs.map((run) => insert.rows / run.seconds);
  const rate = Math.floor((rates === undefined ? assumedCapacity : median(rates)) / 3);
  for (let round = 1; round <= rounds; round++) {
    const name = `latency at ${rate} entries/s, round ${round} of ${rounds}`;
    latency.push(await step(name, () => measureLatency(stage, rate)));
  }
}

function loadsOf({ only, rows }: Options): Load[] {
  const loads: Partial<Record<MeasurementName, () => Load>> = {
    insert: () => insertLoad(rows),
    update: () => updateLoad(rows),
    mixed: () => mixedLoad(rows),
    wide: () => wideLoad(Math.ceil(rows / 5)),
  };
  return only.flatMap((name) => loads[name]?.() ?? []);
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(help);
  else await bench(options);
} catch (error) {
  say(`failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
// Hooks at exit end what an error left running.
process.exit();
