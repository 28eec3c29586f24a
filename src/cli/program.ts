import { Command, CommanderError, Option } from "commander";
import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { optionList, type CommandName, type OptionKey } from "../config/options.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { printError, type ConsoleIo } from "./console-io.ts";
import { exitCode, exitCodeOf } from "./exit-code.ts";
import type { Acceptance } from "./accept.ts";
import type { ReplayCommand } from "./replay.ts";
import { packageVersion } from "./version.ts";

/** Reads the arguments (without node and script), does what they say, and resolves with the exit code. Never throws. */
export async function runProgram(argv: readonly string[], io: ConsoleIo): Promise<number> {
  let code: number = exitCode.done;
  const program = createProgram(io, (result) => {
    code = result;
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.done : exitCode.usage;
    const known = error instanceof SluiceError ? error : internal(error);
    printError(io, known);
    return exitCodeOf(known);
  }
}

type Finish = (code: number) => void;

/** The command line. Each command's module is loaded when it is called, so that `healthcheck` stays quick. */
export function createProgram(io: ConsoleIo, finish: Finish): Command {
  const program = new Command("sluice")
    .description("Carries PostgreSQL changes from Debezium's Redis Streams into a PostgreSQL read database.")
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.out(text), writeErr: (text) => io.err(text) })
    .showHelpAfterError("(see `sluice --help`)")
    .version(packageVersion(), "-V, --version", "print the version");
  addRun(program, io, finish);
  addMigrate(program, io, finish);
  addCheck(program, io, finish);
  addStatus(program, io, finish);
  addReplay(program, io, finish);
  addTrim(program, io, finish);
  addAccept(program, io, finish);
  addConfig(program, io, finish);
  addHealthcheck(program, io, finish);
  program
    .command("version")
    .description("print the version")
    .action(() => io.out(`${packageVersion()}\n`));
  return program;
}

function addRun(program: Command, io: ConsoleIo, finish: Finish): void {
  configured(program.command("run"))
    .description("apply changes until told to stop (SIGTERM drains)")
    .option(
      "--replay-from <stream=id,...>",
      "apply these streams again from these ids (or times) before going live, once, at this start; a flag only, " +
        "since a restart with it replays again: leave it out of what restarts the service",
    )
    .action(async (flags: Flags) => {
      const { config } = load("run", flags, io);
      const { run } = await import("./run.ts");
      finish(await run(config, packageVersion(), textOf(flags["replayFrom"])));
    });
}

function addReplay(program: Command, io: ConsoleIo, finish: Finish): void {
  const collect = (text: string, before: readonly string[]): readonly string[] => [...before, text];
  configured(program.command("replay"))
    .description(
      "apply again what the streams still hold, beside the running service; its place does not move",
    )
    .option("--stream <stream>", "the stream to replay")
    .option("--all-streams", "replay every stream of the pipeline", false)
    .option(
      "--from <place>",
      "first entry: an id (1718000000000-0), a time (2024-06-10T06:13:20Z), 0 for all that is left",
    )
    .option("--to <place>", "last entry, inclusive; default: the stream's last one at the start")
    .addOption(
      new Option(
        "--table <pattern>",
        "only these tables, like public.orders, shop.* or !public.log; may be repeated",
      )
        .argParser(collect)
        .default([], "all"),
    )
    .option("--dry-run", "count what would be written, write nothing", false)
    .option("--accept-gap", "go on although part of the range was removed from the stream", false)
    .option("--json", "print JSON", false)
    .action(async (flags: Flags) => {
      const { config } = load("replay", flags, io);
      const { replayCommand } = await import("./replay.ts");
      finish(await replayCommand(config, io, replayFlags(flags)));
    });
}

function replayFlags(flags: Flags): ReplayCommand {
  const { stream, from, to, table } = flags;
  return {
    ...{ stream: textOf(stream), from: textOf(from), to: textOf(to) },
    tables: Array.isArray(table) ? table.map(String) : [],
    allStreams: flags["allStreams"] === true,
    dryRun: flags["dryRun"] === true,
    acceptGap: flags["acceptGap"] === true,
    json: flags["json"] === true,
  };
}

function addMigrate(program: Command, io: ConsoleIo, finish: Finish): void {
  configured(program.command("migrate"))
    .description(
      "create or update the bookkeeping schema and add _sluice_lsn to the tables of the read database: to those that the primary " +
        "has too if SLUICE_SOURCE_URL is set, else to all but those that SLUICE_TABLES excludes",
    )
    .option(
      "--from-source",
      "also create what is missing as it is on the primary (needs SLUICE_SOURCE_URL)",
      false,
    )
    .option("--dry-run", "print the statements, change nothing", false)
    .action(async (flags: Flags) => {
      const fromSource = flags["fromSource"] === true;
      const { config } = load("migrate", flags, io, fromSource ? ["sourceUrl"] : []);
      const { migrate } = await import("./migrate.ts");
      const write = (text: string): void => io.out(text.endsWith("\n") ? text : `${text}\n`);
      finish(await migrate(config, { fromSource, dryRun: flags["dryRun"] === true, write }));
    });
}

function addCheck(program: Command, io: ConsoleIo, finish: Finish): void {
  configured(program.command("check"))
    .description("look for what would keep changes from being applied; changes nothing")
    .option("--json", "print JSON", false)
    .action(async (flags: Flags) => {
      const { config } = load("check", flags, io);
      const { check } = await import("./check.ts");
      finish(await check(config, io, flags["json"] === true));
    });
}

function addStatus(program: Command, io: ConsoleIo, finish: Finish): void {
  configured(program.command("status"))
    .description("show members, shards, lag and warnings")
    .option("--json", "print JSON, as GET /status", false)
    .action(async (flags: Flags) => {
      const { config } = load("status", flags, io);
      const { status } = await import("./status.ts");
      finish(await status(config, io, flags["json"] === true));
    });
}

function addAccept(program: Command, io: ConsoleIo, finish: Finish): void {
  const command = program.command("accept").description("confirm what stopped a shard; recorded");
  const dryRun = new Option("--dry-run", "say what would be accepted, change nothing").default(false);
  const run = async (flags: Flags, acceptance: Acceptance): Promise<void> => {
    const { config } = load("accept", flags, io);
    const { accept } = await import("./accept.ts");
    finish(await accept(config, io, acceptance, flags["dryRun"] === true));
  };
  configured(command.command("gap"))
    .description("entries were removed before they were applied (STREAM_GAP): go on behind them")
    .addOption(new Option("--stream <stream>", "the stopped shard's stream").makeOptionMandatory())
    .addOption(dryRun)
    .action((flags: Flags) => run(flags, { kind: "gap", stream: String(flags["stream"]) }));
  configured(command.command("rewound-primary"))
    .description("the primary was restored, its log counts from below (PRIMARY_REWOUND): go on with it")
    .addOption(dryRun)
    .action((flags: Flags) => run(flags, { kind: "rewound-primary" }));
}

function addTrim(program: Command, io: ConsoleIo, finish: Finish): void {
  configured(program.command("trim"))
    .description("remove applied entries that nothing keeps, once, and show what is left for replays")
    .option("--dry-run", "show what would go, remove nothing", false)
    .option("--json", "print JSON", false)
    .action(async (flags: Flags) => {
      const { config } = load("trim", flags, io);
      const { trim } = await import("./trim.ts");
      finish(await trim(config, io, { dryRun: flags["dryRun"] === true, json: flags["json"] === true }));
    });
}

function addConfig(program: Command, io: ConsoleIo, finish: Finish): void {
  configured(program.command("config"))
    .description("show the effective configuration, passwords hidden, and where each value came from")
    .addOption(new Option("--json", "print JSON").default(false).conflicts("schema"))
    .option("--schema", "print the JSON Schema of the configuration file", false)
    .action(async (flags: Flags) => {
      const { showConfig, showSchema } = await import("./config.ts");
      if (flags["schema"] === true) finish(showSchema(io));
      else finish(showConfig(load("config", flags, io), io, flags["json"] === true));
    });
}

function addHealthcheck(program: Command, io: ConsoleIo, finish: Finish): void {
  configured(program.command("healthcheck"))
    .description("ask the member on this machine whether it is ready; exits 0 or 1")
    .action(async (flags: Flags) => {
      const { config } = load("healthcheck", flags, io);
      const { healthcheck } = await import("./healthcheck.ts");
      finish(await healthcheck(config, io));
    });
}

type Flags = Readonly<Record<string, unknown>>;

/** Gives a command every option of the table. */
function configured(command: Command): Command {
  command.addOption(
    new Option("-c, --config <file>", "YAML file (env: SLUICE_CONFIG)").helpGroup(configurationHelp),
  );
  for (const option of optionList) {
    const note =
      option.default === undefined
        ? ""
        : `, default: ${option.defaultNote ?? JSON.stringify(option.default)}`;
    const text = `${option.description} (env: ${option.env}${note})`;
    command.addOption(
      new Option(`--${option.flag} <${option.type.name}>`, text).helpGroup(configurationHelp),
    );
  }
  return command;
}

const configurationHelp = "Configuration:";

function load(
  command: CommandName,
  flags: Flags,
  io: ConsoleIo,
  required: readonly OptionKey[] = [],
): LoadedConfig {
  const given = optionList.map((option) => [option.key, textOf(flags[camelCase(option.flag)])]);
  return loadConfig({
    command,
    flags: Object.fromEntries(given),
    env: io.env,
    file: textOf(flags["config"]),
    required,
  });
}

/** Commander's name for a flag's value. */
function camelCase(flag: string): string {
  return flag.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function internal(error: unknown): SluiceError {
  return new SluiceError("INTERNAL", error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
