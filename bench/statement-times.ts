import { execute, withClient } from "./database.ts";
import { say } from "./progress.ts";
import type { Cluster } from "./stage.ts";
import { textTable } from "./text-table.ts";

/** Settings of a cluster that counts its statements' time, which costs some of it: for profiles, not for figures. */
export const statementTimeSettings = {
  shared_preload_libraries: "pg_stat_statements",
  "pg_stat_statements.track_planning": "on",
} as const;

interface StatementTime {
  readonly calls: string;
  readonly execute_ms: string;
  readonly plan_ms: string;
  readonly rows: string;
  readonly statement: string;
}

export function forgetStatementTimes(cluster: Cluster): Promise<void> {
  return execute(
    cluster.url,
    "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
    "SELECT pg_stat_statements_reset()",
  );
}

/** Says which statements of the database took longest since then. They have no values in them. */
export async function sayStatementTimes(cluster: Cluster, databaseUrl: string): Promise<void> {
  const query = `SELECT calls::text, total_exec_time::int::text AS execute_ms, total_plan_time::int::text AS plan_ms,
      rows::text, left(regexp_replace(query, '\\s+', ' ', 'g'), 150) AS statement
    FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = $1
    ORDER BY total_exec_time + total_plan_time DESC LIMIT 8`;
  const name = new URL(databaseUrl).pathname.slice(1);
  const { rows } = await withClient(cluster.url, (client) => client.query<StatementTime>(query, [name]));
  const cells = rows.map((row) => [row.statement, row.calls, row.rows, row.execute_ms, row.plan_ms]);
  say(textTable(["statement", "calls", "rows", "execute ms", "plan ms"], cells));
}
