import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseTableId, tableId } from "../../../src/change/change.ts";

const name = fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom("a.b", 'q"q', ".", '"', "public"));

describe("tableId", () => {
  it("is the plain name where nothing has to be quoted", () => {
    expect(tableId("public", "order items")).toBe("public.order items");
  });

  it("reads back as what it was made of, so that no two tables share one", () => {
    fc.assert(
      fc.property(name, name, (schema, table) => {
        expect(parseTableId(tableId(schema, table))).toMatchObject({ schema, table });
      }),
    );
  });
});
