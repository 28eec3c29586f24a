import type { ReadTable } from "../../src/catalog/read-table.ts";
import { planShape, type ShapePlan } from "../../src/catalog/shape-plan.ts";
import { Change, type Operation } from "../../src/change/change.ts";
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
  link: { readonly newKey?: string; readonly oldKey?: string } = {},
): Change {
  const [hasKey, hasImage] = [op !== "t", op !== "t" && op !== "d"];
  const key = JSON.stringify({ id: row.id });
  const bytes = Buffer.from(key + JSON.stringify(row));
  const { newKey, oldKey } = link;
  return new Change({
    form: { op, table: table.name, shape: 1, keyShape: 1 },
    entryIndex: 0,
    bytes,
    ...{ keyStart: hasKey ? 0 : -1, keyEnd: hasKey ? key.length : -1 },
    ...{ imageStart: hasImage ? key.length : -1, imageEnd: hasImage ? bytes.length : -1 },
    position: BigInt(position),
    logged: BigInt(position),
    commit: { lsn: position, atMs: 0 },
    link: newKey === undefined && oldKey === undefined ? undefined : { newKey, oldKey },
  });
}
