import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Contender, Measurement } from "../contender.ts";
import { copyInto, writeCopyFile } from "../copy-files.ts";
import { databaseUrl, execute, withClient } from "../database.ts";
import type { Load } from "../loads/load.ts";
import { columnNames, createTableSql, type Row, type TableShape } from "../loads/table-shape.ts";
import { waitUntil } from "../member.ts";
import { fillTables, preparePlainDatabase } from "../sluice-database.ts";
import { createDatabase, freshDatabase, type Cluster, type Stage } from "../stage.ts";

const rowsPerTransaction = 10;
const pollMs = 20;

/**
 * PostgreSQL's own logical replication from a publisher that has already committed everything, ten rows a transaction. The
 * load is committed once; each round subscribes to a copy of the slot that was made before it.
 */
export async function logicalReplicationContender(stage: Stage, load: Load): Promise<Contender> {
  const publisher = await stage.publisher();
  const url = await commitAtPublisher(stage, publisher, load);
  const template = await preparePlainDatabase(stage, load);
  await execute(databaseUrl(stage.target.url, template), markerTable);
  return {
    name: "logical replication",
    run: () => subscribe(stage, url, load, template),
    end: () => execute(url, `SELECT pg_drop_replication_slot('${baseSlot(load)}')`),
  };
}

const markerTable = "CREATE TABLE public.committed_last (id integer PRIMARY KEY)";

function baseSlot(load: Load): string {
  return `base_${load.name}`;
}

/** Rows before, publication, slot, and then the changes behind it. */
async function commitAtPublisher(stage: Stage, publisher: Cluster, load: Load): Promise<string> {
  const url = await createDatabase(publisher, `load_${load.name}`);
  await execute(url, markerTable, ...load.tables.map(createTableSql));
  await fillTables({ stage, url, load });
  const [table] = load.tables;
  if (table === undefined || load.tables.length > 1)
    throw new Error("the publisher takes loads of one table");
  const file = join(stage.folder, "changes.tsv");
  writeCopyFile(file, numbered(load));
  await execute(url, changesTable(table));
  await copyInto(url, "changes", file);
  await execute(
    url,
    `CREATE PUBLICATION load FOR TABLE public.committed_last, public.${table.name}`,
    `SELECT pg_create_logical_replication_slot('${baseSlot(load)}', 'pgoutput')`,
    "SET synchronous_commit = off",
    commitSql(table),
    "INSERT INTO committed_last VALUES (1)",
    "VACUUM ANALYZE",
    "CHECKPOINT",
  );
  return url;
}

function* numbered(load: Load): Generator<Row> {
  let number = 0;
  for (const { op, row } of load.changes()) yield [number++, op, ...row];
}

function changesTable(table: TableShape): string {
  const columns = table.columns.map(({ name, type }) => `${name} ${type}`).join(", ");
  return `CREATE TABLE changes (number integer, op text, ${columns})`;
}

function commitSql(table: TableShape): string {
  const names = columnNames(table);
  const values = table.columns.map((column) => `change.${column.name}`).join(", ");
  return `DO $$
    DECLARE change record;
    BEGIN
      FOR change IN SELECT * FROM changes ORDER BY number LOOP
        CASE change.op
          WHEN 'c' THEN INSERT INTO public.${table.name} (${names}) VALUES (${values});
          WHEN 'u' THEN UPDATE public.${table.name} SET (${names}) = (${values}) WHERE id = change.id;
          ELSE DELETE FROM public.${table.name} WHERE id = change.id;
        END CASE;
        IF change.number % ${rowsPerTransaction} = ${rowsPerTransaction - 1} THEN COMMIT; END IF;
      END LOOP;
    END $$`;
}

/** The clock runs from enabling the subscription until its last transaction is there. No initial copy. */
async function subscribe(
  stage: Stage,
  publisherUrl: string,
  load: Load,
  template: string,
): Promise<Measurement> {
  const slot = `round_${load.name}`;
  await execute(publisherUrl, `SELECT pg_copy_logical_replication_slot('${baseSlot(load)}', '${slot}')`);
  const target = await freshDatabase(stage.target, template);
  await execute(
    target,
    `CREATE SUBSCRIPTION load CONNECTION '${stage.reach(publisherUrl)}' PUBLICATION load
       WITH (enabled = false, create_slot = false, slot_name = '${slot}', copy_data = false)`,
  );
  const startedAt = performance.now();
  await execute(target, "ALTER SUBSCRIPTION load ENABLE");
  await waitUntil(target, "SELECT count(*) = 1 FROM public.committed_last");
  const seconds = (performance.now() - startedAt) / 1000;
  await execute(
    target,
    "ALTER SUBSCRIPTION load DISABLE",
    "ALTER SUBSCRIPTION load SET (slot_name = NONE)",
    "DROP SUBSCRIPTION load",
  );
  await dropSlot(publisherUrl, slot);
  return { databaseUrl: target, seconds };
}

/** The sender notices a moment later that its subscriber is gone. */
async function dropSlot(url: string, slot: string): Promise<void> {
  await withClient(url, async (client) => {
    const drop = `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active`;
    while ((await client.query(drop, [slot])).rowCount === 0) await sleep(pollMs);
  });
}
