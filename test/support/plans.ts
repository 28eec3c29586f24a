import type { ReadTable } from "../../src/catalog/read-table.ts";
import { planShape, type ShapePlan } from "../../src/catalog/shape-plan.ts";
import type { Change, Operation } from "../../src/change/change.ts";
import { codecFor, type ColumnType } from "../../src/decode/types/value-codec.ts";
import { placeholdersOf } from "../../src/decode/placeholder.ts";

export function columnType(name: string, sql = name): ColumnType {
  return { name, sql, kind: "base", schemaSql: "pg_catalog", element: undefined };
}

/** A prepared table with the key `id`, its columns given as name → type. */
export function readTable(id: string, columns: Readonly<Record<string, ColumnType>>): ReadTable {
  const [schema = "", table = ""] = id.split(".");
  const entries = Object.entries(columns).map(([name, type]) => {
    const column = {
      name,
      type,
      generated: false,
      identityAlways: false,
      codec: codecFor(type),
      placeholders: placeholdersOf(type),
    };
    return [name, column] as const;
  });
  return {
    name: { schema, table, id },
    columns: new Map(entries),
    key: ["id"],
    prepared: true,
    signature: "",
  };
}

export function plan(table: ReadTable): ShapePlan {
  return planShape(table, [...table.columns.keys()]);
}

/** A change as the decoder would give it. */
export function change(
  table: ReadTable,
  op: Operation,
  position: number,
  row: { readonly id: number } & Readonly<Record<string, unknown>>,
  more: Partial<Change> = {},
): Change {
  const key = JSON.stringify({ id: row.id });
  return {
    op,
    table: table.name,
    entryIndex: 0,
    key,
    image: op === "d" ? undefined : Buffer.from(JSON.stringify(row)),
    ...{ shape: 1, keyShape: 1 },
    position: BigInt(position),
    logged: BigInt(position),
    commitLsn: position,
    committedAtMs: 0,
    newKey: undefined,
    oldKey: undefined,
    ...more,
  };
}
