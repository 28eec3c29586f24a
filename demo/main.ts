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

The verdict goes to standard output, everything else to standard error. Ctrl-C before a verdict that was asked for exits 130.
Everything runs on free ports and in a temporary folder, and is stopped and removed at the end.
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
    if (demo.seconds === undefined) {
      await conclude(screen, sample);
      return 0;
    }
    return await untilInterrupted(demo.interrupt, () => verdict(screen, services, sample));
  } catch (error) {
    if (error instanceof Interrupted) {
      screen.say("interrupted before the verdict");
      return 130;
    }
    screen.say(`failed: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  } finally {
    screen.say("stopping");
  }
}

class Interrupted extends Error {}

/** What is still at work then fails by itself, when the servers are stopped. */
async function untilInterrupted<Result>(
  interrupt: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result> {
  if (interrupt.aborted) throw new Interrupted();
  const interrupted = new Promise<never>((_, reject) => {
    interrupt.addEventListener("abort", () => reject(new Interrupted()), { once: true });
  });
  return await Promise.race([work(), interrupted]);
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

/** Shows the state every two seconds while the shop is busy. Rejects when the load breaks or sluice ends. */
async function applyLoad(
  { seconds, screen, interrupt }: Demo,
  services: Services,
  sample: () => Promise<Sample | undefined>,
): Promise<void> {
  const load = startLoad(services.primaryUrl);
  const timeUp = seconds === undefined ? [] : [AbortSignal.timeout(seconds * 1000)];
  const end = AbortSignal.any([interrupt, load.broken, ...timeUp]);
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

async function conclude(screen: Screen, sample: () => Promise<Sample | undefined>): Promise<void> {
  const taken = await sample();
  if (taken !== undefined) screen.conclude(taken);
}

/** Once the read database has caught up, compares it; gives the exit code. */
async function verdict(
  screen: Screen,
  services: Services,
  sample: () => Promise<Sample | undefined>,
): Promise<number> {
  await screen.step("the read database catches up", () =>
    waitUntilCaughtUp({ ...services, sample, timeoutMs: catchUpTimeoutMs }),
  );
  await conclude(screen, sample);
  const { tables, equal } = await screen.step("every row of every table is compared", () =>
    compareDatabases(services.primaryUrl, services.readUrl),
  );
  const lines = tables.flatMap((table) => [
    `  ${table.table}: ${table.rows.toLocaleString("en-US")} rows, ${table.equal ? "equal" : "DIFFERENT"}`,
    ...table.differences.map((difference) => `    ${difference}`),
  ]);
  process.stdout.write(
    `${[...lines, equal ? "The databases are equal." : "The databases differ."].join("\n")}\n`,
  );
  return equal ? 0 : 1;
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
// A pipe takes its text later than the call returns.
await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
// Nothing is left to wait for; hooks at exit check that nothing is left behind.
process.exit();
