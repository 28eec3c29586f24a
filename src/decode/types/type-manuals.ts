import { arrayManual } from "./arrays.ts";
import { binaryManuals } from "./binary.ts";
import { numberManuals } from "./numbers.ts";
import { enumManual, opaqueManual } from "./opaque.ts";
import { textManuals } from "./text.ts";
import { timeManuals } from "./times.ts";
import type { TypeManual } from "./type-manual.ts";

/** Every type once, as the reference page has them. */
export const typeManuals: readonly TypeManual[] = [
  ...numberManuals,
  ...textManuals,
  ...binaryManuals,
  ...timeManuals,
  enumManual,
  arrayManual,
  opaqueManual,
];
