import { join } from "node:path";
import { sluiceMain } from "../demo/local/build-sluice.ts";
import { runToEnd } from "../demo/local/process.ts";
import { copyInto, writeCopyFile } from "./copy-files.ts";
import { execute } from "./database.ts";
import type { Load } from "./loads/load.ts";
import { columnNames, createTableSql, type TableShape } from "./loads/table-shape.ts";
import { createDatabase, type Stage } from "./stage.ts";

/** A template with the load's tables as `sluice migrate` prepares them, and the rows that are there before. */
export async function prepareSluiceDatabase(stage: Stage, load: Load): Promise<string> {
  const name = `sluice_${load.name}`;
  const url = await createDatabase(stage.target, name);
  await execute(url, ...load.tables.map(createTableSql));
  const env = { ...process.env, SLUICE_DATABASE_URL: url, SLUICE_REDIS_URL: stage.redisUrl };
  await runToEnd(process.execPath, [sluiceMain, "migrate"], { env });
  // Written by sluice in its time, so each row has a position; all that comes now is younger.
  await fillTables({ stage, url, load, extra: { column: "_sluice_lsn", value: 1 } });
  return name;
}

/** The same without anything of sluice's. */
export async function preparePlainDatabase(stage: Stage, load: Load): Promise<string> {
  const name = `plain_${load.name}`;
  const url = await createDatabase(stage.target, name);
  await execute(url, ...load.tables.map(createTableSql));
  await fillTables({ stage, url, load });
  return name;
}

interface Filling {
  readonly stage: Stage;
  readonly url: string;
  readonly load: Load;
  readonly extra?: { readonly column: string; readonly value: number };
}

export async function fillTables({ stage, url, load, extra }: Filling): Promise<void> {
  const file = join(stage.folder, "existing.tsv");
  for (const table of load.tables) {
    const count = writeCopyFile(file, rowsOf(load, table, extra?.value));
    const columns = extra === undefined ? columnNames(table) : `${columnNames(table)}, ${extra.column}`;
    if (count > 0) await copyInto(url, `public.${table.name} (${columns})`, file);
  }
  await execute(url, "VACUUM ANALYZE");
}

function* rowsOf(load: Load, table: TableShape, extra: number | undefined) {
  for (const existing of load.existing()) {
    if (existing.table === table) yield extra === undefined ? existing.row : [...existing.row, extra];
  }
}
