import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Redis } from "ioredis";
import { waitUntilCaughtUp } from "./catch-up.ts";
import { compareDatabases } from "./compare.ts";
import { startLoad } from "./load.ts";
import { createTempFolder } from "./local/temp-folder.ts";
import { createScreen, type Screen } from "./screen.ts";
import { startServices, type Services } from "./services.ts";
import { takeSample, type Sample } from "./status.ts";

const help = `The whole pipeline on this machine, with a load: primary → Debezium → Redis → sluice → read database.

  npm run demo                    until Ctrl-C
  npm run demo -- --seconds 20    stops the load after 20 s, compares both databases, exits 0 (equal) or 1

Everything runs on free ports and in a temporary folder, and is gone afterwards.
`;

const catchUpTimeoutMs = 120_000;
const showEveryMs = 2_000;

interface Demo {
  /** How long the load lasts; undefined: until Ctrl-C. */
  readonly seconds: number | undefined;
  readonly screen: Screen;
  readonly interrupt: AbortSignal;
}

async function runDemo(demo: Demo): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const { screen } = demo;
  try {
    const folder = stack.use(createTempFolder("sluice-demo-"));
    const services = await startServices(folder.path, stack, screen);
    const redis = new Redis(services.redisUrl);
    // Unanswered commands fail anyway; without a listener each broken connection would be printed.
    redis.on("error", () => undefined);
    stack.defer(() => redis.disconnect());
    const sample = (): Promise<Sample | undefined> => takeSample(services.httpUrl, redis);
    announce(screen, services);
    await applyLoad(demo, services, sample);
    if (demo.interrupt.aborted) return 0;
    await screen.step("the read database catches up", () =>
      waitUntilCaughtUp({ ...services, sample, timeoutMs: catchUpTimeoutMs }),
    );
    return await compare(screen, services);
  } catch (error) {
    screen.say(`failed: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  } finally {
    screen.say("stopping");
  }
}

function announce(screen: Screen, services: Services): void {
  screen.say(
    [
      "",
      `  status         ${services.httpUrl}/status`,
      `  metrics        ${services.httpUrl}/metrics`,
      `  primary        psql ${services.primaryUrl}`,
      `  read database  psql ${services.readUrl}`,
      `  Redis          redis-cli -u ${services.redisUrl}`,
      "",
    ].join("\n"),
  );
}

/** Shows the state every two seconds while the shop is busy. */
async function applyLoad(
  { seconds, screen, interrupt }: Demo,
  services: Services,
  sample: () => Promise<Sample | undefined>,
): Promise<void> {
  const load = startLoad(services.primaryUrl);
  const timeUp = seconds === undefined ? [] : [AbortSignal.timeout(seconds * 1000)];
  const end = AbortSignal.any([interrupt, ...timeUp]);
  while (!end.aborted) {
    const taken = await sample();
    if (taken !== undefined) screen.show(taken);
    if (!services.sluice.running)
      throw new Error(`sluice has ended:\n${services.sluice.log().slice(-4_000)}`);
    await sleep(showEveryMs, undefined, { signal: end }).catch(() => undefined);
  }
  await load.stop();
  screen.say(`load stopped after ${load.transactions.toLocaleString("en-US")} transactions`);
}

async function compare(screen: Screen, { primaryUrl, readUrl }: Services): Promise<number> {
  const comparison = await screen.step("every row of every table is compared", () =>
    compareDatabases(primaryUrl, readUrl),
  );
  for (const { table, rows, equal, differences } of comparison.tables) {
    screen.say(`  ${table}: ${rows.toLocaleString("en-US")} rows, ${equal ? "equal" : "DIFFERENT"}`);
    for (const difference of differences) screen.say(`    ${difference}`);
  }
  screen.say(comparison.equal ? "The databases are equal." : "The databases differ.");
  return comparison.equal ? 0 : 1;
}

/** The first Ctrl-C ends the load and stops everything in order; during the start, and the second time, at once. */
function interruptOnSignal(isLoading: () => boolean): AbortSignal {
  const controller = new AbortController();
  const onSignal = (): void => {
    // Hooks at exit end the programs and remove the folder.
    if (!isLoading() || controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return controller.signal;
}

function readSeconds(): number | undefined {
  const options = { seconds: { type: "string" }, help: { type: "boolean" } } as const;
  const { values } = parseArgs({ options });
  if (values.help) {
    process.stdout.write(help);
    process.exit(0);
  }
  if (values.seconds === undefined) return undefined;
  const seconds = Number(values.seconds);
  if (!(seconds > 0 && seconds <= 1_000_000)) throw new Error("--seconds wants a number above 0");
  return seconds;
}

let announced = false;
const screen = createScreen(process.stderr);
const watched: Screen = {
  ...screen,
  show: (sample) => {
    announced = true;
    screen.show(sample);
  },
};
const interrupt = interruptOnSignal(() => announced);
process.exitCode = await runDemo({ seconds: readSeconds(), screen: watched, interrupt });
// Nothing is left to wait for; hooks at exit check that nothing is left behind.
process.exit();
