import { join } from "node:path";
import type { Contender } from "../contender.ts";
import { copyInto, writeCopyFile } from "../copy-files.ts";
import type { Load } from "../loads/load.ts";
import { columnNames, type Row } from "../loads/table-shape.ts";
import { freshDatabase, type Stage } from "../stage.ts";

const connections = 2;

/**
 * The ceiling: the same rows by COPY into the same table (with its position column), from two clients, each with half of the
 * keys. Undefined for a load that is not only inserts.
 */
export async function copyContender(stage: Stage, load: Load): Promise<Contender | undefined> {
  const [table] = load.tables;
  if (table === undefined || load.tables.length > 1 || !onlyInserts(load)) return undefined;
  const files = writeHalves(stage.folder, load);
  const target = `public.${table.name} (${columnNames(table)}, _sluice_lsn)`;
  return {
    name: `COPY, ${connections} connections`,
    async run() {
      const databaseUrl = await freshDatabase(stage.target, `sluice_${load.name}`, "copy");
      const startedAt = performance.now();
      await Promise.all(files.map((file) => copyInto(stage.reach(databaseUrl), target, file)));
      return { databaseUrl, seconds: (performance.now() - startedAt) / 1000 };
    },
  };
}

function onlyInserts(load: Load): boolean {
  for (const change of load.changes()) if (change.op !== "c") return false;
  return true;
}

function writeHalves(folder: string, load: Load): string[] {
  const size = Math.ceil(load.size / connections);
  return Array.from({ length: connections }, (_, part) => {
    const file = join(folder, `copy-${load.name}-${part}.tsv`);
    writeCopyFile(file, rowsBetween(load, part * size, (part + 1) * size));
    return file;
  });
}

function* rowsBetween(load: Load, from: number, to: number): Generator<Row> {
  let index = 0;
  for (const { row } of load.changes()) {
    if (index >= from && index < to) yield [...row, 24_023_128 + index * 200];
    index++;
  }
}
