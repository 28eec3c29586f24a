import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

export interface LogSummary {
  /** Error codes of warnings and errors, with how many lines named them. */
  readonly codes: ReadonlyMap<string, number>;
  /** Lines that must not be there. */
  readonly problems: readonly string[];
}

interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly msg: string;
  readonly err?: { readonly code?: string; readonly cause?: string };
}

/** What a member may say when it is made to end while a store does not answer, or when its name is taken. */
const expectedEvents = new Set(["drain_failed"]);
const expectedCodes = new Set(["MEMBER_REPLACED"]);

/** Codes that no fault of this run explains. A shard stops only for what retrying does not mend. */
export function checkLogs(folder: string): LogSummary {
  const codes = new Map<string, number>();
  const problems: string[] = [];
  for (const name of readdirSync(folder).filter((each) => /^member-.*\.log$/.test(each))) {
    for (const text of readFileSync(join(folder, name), "utf8").split("\n")) {
      if (text === "") continue;
      const line = parse(text);
      if (line === undefined) {
        problems.push(`${name}: ${text}`);
        continue;
      }
      const code = line.err?.code;
      if (code !== undefined) codes.set(code, (codes.get(code) ?? 0) + 1);
      const bad = line.level === "error" || line.level === "fatal" || code === "INTERNAL";
      if (!bad || expectedEvents.has(line.event) || expectedCodes.has(code ?? "")) continue;
      problems.push(`${name}: ${code ?? ""} ${line.msg} (${line.err?.cause ?? ""})`);
    }
  }
  return { codes, problems };
}

function parse(text: string): LogLine | undefined {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return undefined;
  }
}
