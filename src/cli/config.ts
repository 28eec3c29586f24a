import type { LoadedConfig } from "../config/load.ts";
import { configJsonSchema, optionList } from "../config/options.ts";
import { durationText } from "../config/values.ts";
import { redactConfig } from "../config/redact.ts";
import { alignedTable, type ConsoleIo } from "./console-io.ts";
import { exitCode } from "./exit-code.ts";

/** Shows what the program would run with, by the names of a configuration file, passwords hidden, and where each value came from. */
export function showConfig(loaded: LoadedConfig, io: ConsoleIo, json: boolean): number {
  const config = redactConfig(loaded.config);
  const shown = optionList.map((option) => ({
    name: option.name,
    value: written(option.type.name, config[option.key]),
    origin: loaded.origins[option.key],
  }));
  if (json) {
    const entries = shown.map(({ name, value, origin }) => [name, { value: value ?? null, origin }]);
    io.out(`${JSON.stringify(Object.fromEntries(entries))}\n`);
  } else {
    const rows = shown.map(({ name, value, origin }) => [name, valueText(value), origin]);
    io.out(alignedTable(["OPTION", "VALUE", "FROM"], rows));
  }
  return exitCode.done;
}

export function showSchema(io: ConsoleIo): number {
  io.out(`${JSON.stringify(configJsonSchema(), undefined, 2)}\n`);
  return exitCode.done;
}

/** As a file has it. */
function written(type: string, value: unknown): unknown {
  return type === "duration" && typeof value === "number" ? durationText(value) : value;
}

function valueText(value: unknown): string {
  if (value === undefined || value === "") return "-";
  return Array.isArray(value) ? value.join(",") || "-" : String(value);
}
