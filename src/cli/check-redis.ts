import { redisWarnings } from "../maintenance/watch.ts";
import type { Privileges } from "../source/privileges.ts";
import type { RedisFacts } from "../source/stream-info.ts";
import { ok, type Finding } from "./check-tables.ts";

/** Warnings with which changes do not get through, or entries may vanish at any time. */
export const failingWarnings: ReadonlySet<string> = new Set(["REDIS_EVICTS", "REDIS_IS_REPLICA"]);

/** Rewinding needs XGROUP SETID with ENTRIESREAD, which came with 7.0. */
export function checkRedisFacts(facts: RedisFacts): readonly Finding[] {
  const findings: Finding[] = [];
  const [major = 0] = facts.version.split(".").map(Number);
  const what = `Redis ${facts.version}`;
  if (major < 7) {
    findings.push({ level: "fail", what: `${what} is too old`, remedy: "Use Redis 7.0 or later." });
  } else {
    findings.push(ok(what));
  }
  const warnings = redisWarnings(facts);
  if (!warnings.some(({ code }) => code === "REDIS_EVICTS")) {
    findings.push(ok(`Redis maxmemory-policy ${facts.maxmemoryPolicy || "is not told"}`));
  }
  if (facts.persistence === "aof") findings.push(ok("Redis keeps an append-only file"));
  for (const { code, message, remedy } of warnings) {
    findings.push({ level: failingWarnings.has(code) ? "fail" : "warn", what: message, remedy });
  }
  return findings;
}

/** `privileges` undefined: Redis does not tell, which is no finding. */
export function checkPrivileges(privileges: Privileges | undefined): readonly Finding[] {
  if (privileges === undefined) return [];
  const { user, refused } = privileges;
  if (refused.length === 0) return [ok(`Redis lets the user ${user} do what run does`)];
  const what = refused.map(({ command, streams }) =>
    streams.length === 0 ? command : `${command} on ${streams.join(", ")}`,
  );
  const remedy =
    "Let the user run them with ACL SETUSER, on the keys of all streams; the guide on operating names all commands.";
  return [{ level: "fail", what: `Redis refuses the user ${user} ${what.join("; ")}`, remedy }];
}
