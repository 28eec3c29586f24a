import { describe, expect, test } from "vitest";
import { tableFilter } from "../../src/catalog/table-filter.ts";

describe("the table filter", () => {
  test("carries every user table when there are no patterns", () => {
    const carries = tableFilter([]);
    expect(carries("public", "orders")).toBe(true);
    expect(carries("Shop & Co", "a b")).toBe(true);
  });

  test.each(["pg_catalog", "information_schema", "pg_toast", "pg_toast_temp_1", "sluice"])(
    "never carries the schema %s, even when it is included",
    (schema) => {
      expect(tableFilter([`${schema}.*`])(schema, "x")).toBe(false);
    },
  );

  test("carries only what an including pattern names", () => {
    const carries = tableFilter(["shop.orders", "crm_*.*"]);
    expect(carries("shop", "orders")).toBe(true);
    expect(carries("shop", "orders2")).toBe(false);
    expect(carries("crm_eu", "people")).toBe(true);
  });

  test("lets an exclusion win wherever it stands", () => {
    for (const patterns of [
      ["public.*", "!public.audit*"],
      ["!public.audit*", "public.*"],
    ]) {
      const carries = tableFilter(patterns);
      expect(carries("public", "orders")).toBe(true);
      expect(carries("public", "audit_2024")).toBe(false);
    }
    expect(tableFilter(["!public.audit"])("public", "orders")).toBe(true);
  });

  test("takes every sign but * literally, and case counts", () => {
    const carries = tableFilter(["public.a+b[c]", "public.Mixed"]);
    expect(carries("public", "a+b[c]")).toBe(true);
    expect(carries("public", "aab")).toBe(false);
    expect(carries("public", "mixed")).toBe(false);
  });

  test("splits a pattern at its first dot", () => {
    expect(tableFilter(["public.a.b"])("public", "a.b")).toBe(true);
  });

  test.each(["orders", ".orders", "public.", "!audit"])(
    "refuses %s, which is not schema.table",
    (pattern) => {
      expect(() => tableFilter([pattern])).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
    },
  );
});
