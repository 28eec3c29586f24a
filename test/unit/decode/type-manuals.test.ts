import { expect, it } from "vitest";
import { knownTypes } from "../../../src/decode/types/opaque.ts";
import { typeManuals } from "../../../src/decode/types/type-manuals.ts";

it("every type that Debezium has a form of its own for has one manual, no other has any", () => {
  const named = typeManuals.flatMap(({ names }) => names);
  expect(named.toSorted()).toEqual([...knownTypes].toSorted());
});

it("without names a manual has a title", () => {
  for (const { names, title } of typeManuals) expect(title ?? names[0]).toMatch(/./);
});
