import type { LoadedConfig } from "../config/load.ts";
import { configJsonSchema, optionList } from "../config/options.ts";
import { redactConfig } from "../config/redact.ts";
import { alignedTable, type ConsoleIo } from "./console-io.ts";
import { exitCode } from "./exit-code.ts";

/** Shows what the program would run with, passwords hidden, and where each value came from. */
export function showConfig(loaded: LoadedConfig, io: ConsoleIo, json: boolean): number {
  const config = redactConfig(loaded.config);
  const shown = optionList.map((option) => ({
    name: option.name,
    key: option.key,
    value: config[option.key],
    origin: loaded.origins[option.key],
  }));
  if (json) {
    const entries = shown.map(({ key, value, origin }) => [key, { value: value ?? null, origin }]);
    io.out(`${JSON.stringify(Object.fromEntries(entries))}\n`);
  } else {
    const rows = shown.map(({ key, value, origin }) => [key, valueText(value), origin]);
    io.out(alignedTable(["OPTION", "VALUE", "FROM"], rows));
  }
  return exitCode.done;
}

export function showSchema(io: ConsoleIo): number {
  io.out(`${JSON.stringify(configJsonSchema(), undefined, 2)}\n`);
  return exitCode.done;
}

function valueText(value: unknown): string {
  if (value === undefined || value === "") return "-";
  return Array.isArray(value) ? value.join(",") || "-" : String(value);
}
