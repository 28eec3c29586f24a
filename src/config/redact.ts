import type { Config } from "./config.ts";
import { optionList } from "./options.ts";

const hidden = "***";

/** A URL with its password, and secrets among its parameters, replaced by `***`. */
export function redactUrl(text: string): string {
  const url = URL.parse(text);
  // What cannot be parsed may have its password anywhere.
  if (url === null) return hidden;
  if (url.password !== "") url.password = hidden;
  for (const name of url.searchParams.keys()) {
    if (/pass|secret|token/i.test(name)) url.searchParams.set(name, hidden);
  }
  return url.href;
}

/** Replaces the credentials of every URL inside a text, such as a driver's message. */
export function redactText(text: string): string {
  return text.replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):\S*@/gi, `$1:${hidden}@`);
}

/** The configuration as it may be shown: secrets without their passwords. */
export function redactConfig(config: Config): Config {
  const secrets = optionList
    .filter((option) => option.secret === true)
    .map((option): [string, unknown] => {
      const value = config[option.key];
      return [option.key, typeof value === "string" && value !== "" ? redactUrl(value) : value];
    });
  return { ...config, ...Object.fromEntries(secrets) };
}
