import { ask, type RedisCommand, type StreamRedis } from "./ask.ts";

/** A command that the user of the connection may not run, and on which streams. */
export interface RefusedCommand {
  /** Like `XGROUP SETID`. */
  readonly command: string;
  /** Empty: it is of no stream. */
  readonly streams: readonly string[];
}

export interface Privileges {
  /** Of the connection. */
  readonly user: string;
  readonly refused: readonly RefusedCommand[];
}

/** What `run` does without a stream; CONFIG GET and MEMORY USAGE it can do without. */
const serverCommands: readonly RedisCommand[] = [["PING"], ["TIME"], ["INFO"], ["MULTI"], ["EXEC"]];

/** What `run` does to each stream, with arguments of the right number: Redis counts them before it answers. */
function streamCommands(stream: string, group: string): readonly RedisCommand[] {
  return [
    ["XREAD", "COUNT", 1, "STREAMS", stream, "0"],
    ["XRANGE", stream, "-", "+"],
    ["XINFO", "STREAM", stream],
    ["XINFO", "GROUPS", stream],
    ["XINFO", "CONSUMERS", stream, group],
    ["XPENDING", stream, group],
    ["XGROUP", "CREATE", stream, group, "0", "MKSTREAM"],
    ["XGROUP", "SETID", stream, group, "0"],
    ["XGROUP", "CREATECONSUMER", stream, group, "sluice"],
    ["XGROUP", "DELCONSUMER", stream, group, "sluice"],
    ["XTRIM", stream, "MINID", "~", "0"],
    ["UNLINK", stream],
  ];
}

/** Commands of which the first argument is part of the name. */
const containers = new Set(["XINFO", "XGROUP"]);

/**
 * Asks Redis what it would refuse (ACL DRYRUN, from 7.0 on), and runs none of it. Undefined: it does not tell, for the most part
 * since the user may not ask.
 */
export async function readPrivileges(
  redis: StreamRedis,
  streams: readonly string[],
  group: string,
): Promise<Privileges | undefined> {
  const [user] = await ask(redis, [["ACL", "WHOAMI"]]);
  if (typeof user !== "string") return undefined;
  const asked = [
    ...serverCommands.map((command) => ({ command, stream: undefined })),
    ...streams.flatMap((stream) => streamCommands(stream, group).map((command) => ({ command, stream }))),
  ];
  const replies = await ask(
    redis,
    asked.map(({ command }) => ["ACL", "DRYRUN", user, ...command]),
  );
  const refused = new Map<string, string[]>();
  for (const [index, reply] of replies.entries()) {
    const { command = [""], stream } = asked[index] ?? {};
    if (reply instanceof Error) return undefined;
    if (reply === "OK") continue;
    const name = command.slice(0, containers.has(String(command[0])) ? 2 : 1).join(" ");
    const of = refused.get(name) ?? [];
    refused.set(name, stream === undefined ? of : [...of, stream]);
  }
  return { user, refused: [...refused].map(([command, of]) => ({ command, streams: of })) };
}
