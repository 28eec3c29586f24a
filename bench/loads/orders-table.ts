import type { Row, TableShape } from "./table-shape.ts";
import { moment } from "./moment.ts";

/** Seven columns of the usual types; an envelope of it has about 650 bytes. */
export function ordersTable(name = "orders"): TableShape {
  return {
    name,
    columns: [
      { name: "id", type: "bigint" },
      { name: "customer", type: "text" },
      { name: "email", type: "text" },
      { name: "amount", type: "numeric(10,2)" },
      { name: "placed_at", type: "timestamptz" },
      { name: "paid", type: "boolean" },
      { name: "details", type: "jsonb" },
    ],
    rowOf,
  };
}

function rowOf(id: number, version: number): Row {
  const mixed = Math.imul(id + version * 7919, 0x9e3779b1) >>> 0;
  // One name in sixteen is not ASCII, as in most customers' data.
  const customer = mixed % 16 === 0 ? `Jürgen Weiß ${id}` : `Customer ${id}`;
  return [
    id,
    version === 0 ? customer : `${customer}, ${version}`,
    `customer${id}@example.org`,
    `${mixed % 10_000}.${String(mixed % 100).padStart(2, "0")}`,
    moment(mixed),
    mixed % 3 === 0,
    `{"plan": "monthly", "level": ${mixed % 50}, "source": "shop"}`,
  ];
}
