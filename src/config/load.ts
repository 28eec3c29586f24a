import { readFileSync } from "node:fs";
import { isMap, isScalar, LineCounter, parseDocument, type YAMLMap } from "yaml";
import { SluiceError } from "../errors/sluice-error.ts";
import type { Config } from "./config.ts";
import { nearestName } from "./nearest.ts";
import { configFileEnv, optionList, type CommandName, type NamedOption, type OptionKey } from "./options.ts";

export interface LoadOptions {
  readonly command: CommandName;
  /** Values of flags by option key; absent or undefined: not given. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Value of `--config`. */
  readonly file?: string | undefined;
  /** Options that this call needs beyond those of its command. */
  readonly required?: readonly OptionKey[];
}

export interface LoadedConfig {
  /** A URL that the command does not need and nobody gave is empty. */
  readonly config: Config;
  /** Where each value came from: `--flag`, `SLUICE_…`, `file:line`, `default` or `unset`. */
  readonly origins: Readonly<Record<OptionKey, string>>;
}

/** A value as it was found, before it is read. */
interface Found {
  readonly value: unknown;
  readonly origin: string;
}

/**
 * Merges flags over environment over file over defaults. Every mistake is collected, and one CONFIG_INVALID names them
 * all, so that nobody corrects them one by one.
 */
export function loadConfig(load: LoadOptions): LoadedConfig {
  const problems: string[] = [];
  const file = readConfigFile(load.file ?? nonEmpty(load.env[configFileEnv]), problems);
  problems.push(...unknownVariables(load.env));
  const config: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const option of optionList) {
    const found = find(option, load, file, problems);
    origins[option.key] = found?.origin ?? "unset";
    config[option.key] = found === undefined ? absent(option, load, problems) : read(option, found, problems);
  }
  if (problems.length > 0) throw invalid(problems);
  // Each key was read by the type that the table, checked against Config, gives it.
  return { config: config as unknown as Config, origins: origins as Record<OptionKey, string> };
}

function find(
  option: NamedOption,
  load: LoadOptions,
  file: ReadonlyMap<string, Found>,
  problems: string[],
): Found | undefined {
  const flag = load.flags[option.key];
  if (flag !== undefined) return { value: flag, origin: `--${option.flag}` };
  const fromEnv = findInEnvironment(option, load.env, problems);
  if (fromEnv !== undefined) return fromEnv;
  const fromFile = file.get(option.name);
  if (fromFile !== undefined) return fromFile;
  return option.default === undefined ? undefined : { value: option.default, origin: "default" };
}

/** An empty variable counts as unset: compose files pass `${NAME:-}`. */
function findInEnvironment(
  option: NamedOption,
  env: LoadOptions["env"],
  problems: string[],
): Found | undefined {
  const direct = nonEmpty(env[option.env]);
  const fileName = `${option.env}_FILE`;
  const path = option.secret === true ? nonEmpty(env[fileName]) : undefined;
  if (direct !== undefined && path !== undefined) {
    problems.push(`${option.env} and ${fileName} are both set; keep one`);
  }
  if (direct !== undefined) return { value: direct, origin: option.env };
  if (path === undefined) return undefined;
  try {
    return { value: readFileSync(path, "utf8").trim(), origin: `${fileName} (${path})` };
  } catch (error) {
    problems.push(`${fileName}: cannot read ${path}: ${messageOf(error)}`);
    return undefined;
  }
}

function read(option: NamedOption, found: Found, problems: string[]): unknown {
  const result = option.type.schema.safeParse(found.value);
  if (result.success) return result.data;
  const got = option.secret === true ? "" : `, got ${JSON.stringify(found.value)}`;
  const reasons = [...new Set(result.error.issues.map((issue) => issue.message))].join("; ");
  problems.push(`${option.name} (${found.origin}): ${reasons}${got}`);
  return undefined;
}

function absent(option: NamedOption, load: LoadOptions, problems: string[]): unknown {
  const needed =
    option.requiredBy?.includes(load.command) === true || load.required?.includes(option.key) === true;
  if (needed) problems.push(`${option.name} is missing: set ${option.env} or --${option.flag}`);
  return option.requiredBy === undefined ? undefined : "";
}

function readConfigFile(path: string | undefined, problems: string[]): ReadonlyMap<string, Found> {
  if (path === undefined) return new Map();
  const lines = new LineCounter();
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    problems.push(`cannot read the configuration file ${path}: ${messageOf(error)}`);
    return new Map();
  }
  const document = parseDocument(text, { lineCounter: lines });
  if (document.errors.length > 0) {
    problems.push(...document.errors.map((error) => `${path}: ${error.message.split("\n")[0]}`));
    return new Map();
  }
  if (document.contents === null) return new Map();
  if (isMap(document.contents)) return readEntries(document.contents, path, lines, problems);
  problems.push(`${path}: expected keys with values at the top level`);
  return new Map();
}

function readEntries(
  map: YAMLMap,
  path: string,
  lines: LineCounter,
  problems: string[],
): ReadonlyMap<string, Found> {
  const names = optionList.map((option) => option.name);
  const found = new Map<string, Found>();
  const values: Record<string, unknown> = map.toJSON();
  for (const { key } of map.items) {
    const name = isScalar(key) ? String(key.value) : String(key);
    const line = isScalar(key) && key.range ? lines.linePos(key.range[0]).line : 0;
    const value = values[name];
    if (!names.includes(name)) {
      problems.push(`${path}:${line}: unknown key ${name}${hint(name, names)}`);
    } else if (value !== null && value !== undefined) {
      found.set(name, { value, origin: `${path}:${line}` });
    }
  }
  return found;
}

/** Kubernetes describes each service of a namespace in variables, such as SLUICE_SERVICE_HOST for one named sluice. */
const kubernetesVariable = /^SLUICE_(.+_)?(SERVICE_(HOST|PORT)(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_.+)?)?)$/;

function unknownVariables(env: LoadOptions["env"]): readonly string[] {
  const known = optionList.flatMap((option) =>
    option.secret === true ? [option.env, `${option.env}_FILE`] : [option.env],
  );
  known.push(configFileEnv);
  return Object.keys(env)
    .filter((name) => name.startsWith("SLUICE_") && !known.includes(name) && !kubernetesVariable.test(name))
    .map((name) => `unknown environment variable ${name}${hint(name, known)}`);
}

function hint(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  return nearest === undefined ? "" : `; did you mean ${nearest}?`;
}

function invalid(problems: readonly string[]): SluiceError {
  const only = problems.length === 1 ? problems[0] : undefined;
  const message =
    only ?? `${problems.length} problems:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`;
  return new SluiceError("CONFIG_INVALID", message);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
