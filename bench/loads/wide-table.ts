import { moment } from "./moment.ts";
import type { TableShape, Value } from "./table-shape.ts";

const kinds = [
  { type: "text", value: (seed: number): Value => `value ${seed % 100_000}` },
  { type: "integer", value: (seed: number): Value => seed % 1_000_000 },
  { type: "numeric(10,2)", value: (seed: number): Value => `${seed % 10_000}.${10 + (seed % 90)}` },
  { type: "timestamptz", value: moment },
  { type: "boolean", value: (seed: number): Value => seed % 2 === 0 },
  { type: "bigint", value: (seed: number): Value => (seed % 7 === 0 ? null : seed) },
];

/** Sixty columns of six types; an envelope of it has about 2.3 kB. */
export const wideTable: TableShape = {
  name: "wide",
  columns: [
    { name: "id", type: "bigint" },
    ...Array.from({ length: 59 }, (_, index) => ({
      name: `column_${index + 1}`,
      type: kinds[index % kinds.length]?.type ?? "text",
    })),
  ],
  rowOf: (id, version) => [
    id,
    ...Array.from({ length: 59 }, (_, index) => {
      const seed = Math.imul(id + version * 7919 + index * 104_729, 0x9e3779b1) >>> 0;
      return kinds[index % kinds.length]?.value(seed) ?? null;
    }),
  ],
};
