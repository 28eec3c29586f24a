import type { FaultKind } from "./fault-kinds.ts";
import type { Stage } from "./stage.ts";

const server = (): readonly string[] => ["database server"];

function restarted(how: "stop" | "kill"): FaultKind {
  return {
    holdMs: [0, 1_500],
    claims: server,
    run: async ({ postgres }, _fault, hold) => {
      await postgres[how]();
      await hold();
      await postgres.restart();
    },
  };
}

/** Statements of an operator; they wait for the server where it is down. */
function switched(
  claim: string,
  holdMs: readonly [number, number],
  on: string | readonly string[],
  off: string | readonly string[],
): FaultKind {
  return {
    holdMs,
    claims: () => [claim],
    run: async ({ database }, _fault, hold) => {
      for (const statement of [on].flat()) await database.insist(statement);
      await hold();
      for (const statement of [off].flat()) await database.insist(statement);
    },
  };
}

const sessions = "FROM pg_stat_activity WHERE usename = 'sluice'";

async function onSessions({ database }: Stage, act: string): Promise<void> {
  await database.insist(`SELECT ${act}(pid) ${sessions}`);
}

/** As the kernel's out-of-memory killer does it: the server throws out everybody and recovers. */
async function killBackend({ database }: Stage): Promise<void> {
  const [row] = await database.insist<{ pid: number }>(`SELECT pid ${sessions} LIMIT 1`);
  try {
    if (row !== undefined) process.kill(row.pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

function locked(
  statement: (stage: Stage, shard: number) => readonly [string, readonly unknown[]],
): FaultKind {
  return {
    // Beyond the statements' own time limit, and often beyond the lease.
    holdMs: [1_000, 3_500],
    claims: () => ["lock"],
    run: async (stage, { shard }, hold) => {
      const [text, values] = statement(stage, shard);
      await stage.database.holding(text, values, hold);
    },
  };
}

export const databaseFaults: Readonly<Record<string, FaultKind>> = {
  "PostgreSQL restarted": restarted("stop"),
  "PostgreSQL killed": restarted("kill"),
  "PostgreSQL backend killed": {
    holdMs: [0, 0],
    claims: server,
    run: (stage) => killBackend(stage),
  },
  "PostgreSQL sessions terminated": {
    holdMs: [0, 0],
    claims: () => [],
    run: (stage) => onSessions(stage, "pg_terminate_backend"),
  },
  "PostgreSQL queries cancelled": {
    holdMs: [0, 0],
    claims: () => [],
    run: (stage) => onSessions(stage, "pg_cancel_backend"),
  },
  "PostgreSQL disk full for a table": switched(
    "disk",
    [500, 3_000],
    "INSERT INTO chaos.switch VALUES ('public.account') ON CONFLICT DO NOTHING",
    "DELETE FROM chaos.switch",
  ),
  "PostgreSQL disk full": switched(
    "disk",
    [500, 4_000],
    "INSERT INTO chaos.switch VALUES ('everything') ON CONFLICT DO NOTHING",
    "DELETE FROM chaos.switch",
  ),
  "PostgreSQL takes no connections": switched(
    "connections",
    [500, 3_000],
    ["ALTER ROLE sluice CONNECTION LIMIT 2", `SELECT pg_terminate_backend(pid) ${sessions}`],
    "ALTER ROLE sluice CONNECTION LIMIT -1",
  ),
  "PostgreSQL read-only": switched(
    "read-only",
    [500, 2_500],
    [
      "ALTER ROLE sluice SET default_transaction_read_only = on",
      `SELECT pg_terminate_backend(pid) ${sessions}`,
    ],
    ["ALTER ROLE sluice RESET default_transaction_read_only", `SELECT pg_terminate_backend(pid) ${sessions}`],
  ),
  "PostgreSQL table altered": switched(
    "table",
    [200, 1_500],
    "ALTER TABLE public.account ADD COLUMN IF NOT EXISTS spare text DEFAULT 'x'",
    "ALTER TABLE public.account DROP COLUMN IF EXISTS spare",
  ),
  "shard's row locked": locked(({ streams }, shard) => [
    "SELECT FROM sluice.shard WHERE stream = $1 FOR UPDATE",
    [streams[shard] ?? ""],
  ]),
  "table locked": locked(() => ["LOCK TABLE public.order_line IN ACCESS EXCLUSIVE MODE", []]),
};
