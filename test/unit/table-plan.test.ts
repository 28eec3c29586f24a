import { describe, expect, test } from "vitest";
import type { Catalog, CatalogColumn, CatalogTable, CatalogType } from "../../src/catalog/source-catalog.ts";
import { tableFilter } from "../../src/catalog/table-filter.ts";
import { planPreparation, planTables } from "../../src/catalog/table-plan.ts";

const every = tableFilter([]);

function catalog(parts: Partial<Catalog> = {}): Catalog {
  return { schemas: ["public"], extensions: [], types: [], tables: [], names: new Set(), ...parts };
}

function column(name: string, sql = "integer", parts: Partial<CatalogColumn> = {}): CatalogColumn {
  const type = { id: sql, sql, schemaSql: sql.includes(".") ? (sql.split(".")[0] ?? "") : "pg_catalog" };
  return { name, type, collation: null, notNull: false, before: null, generated: null, needs: [], ...parts };
}

function table(
  name: string,
  columns: readonly CatalogColumn[],
  parts: Partial<CatalogTable> = {},
): CatalogTable {
  return { schema: "public", name, logged: true, columns, key: [], ...parts };
}

function type(id: string, kind: CatalogType["kind"], parts: Partial<CatalogType> = {}): CatalogType {
  const [schema = "", name = ""] = id.split(".");
  const none = { extension: null, labels: [], base: null, multirange: null, collation: null, notNull: false };
  return { id, schema, name, kind, ...none, checks: [], attributes: [], needs: [], ...parts };
}

const position = column("_sluice_lsn", "bigint");

function sqlOf(source: Catalog, target: Catalog): readonly string[] {
  return planTables(source, target, every).steps.map((step) => step.sql);
}

describe("the plan from the primary", () => {
  test("quotes every name", () => {
    const nasty = table('a "b" C', [column("select", "integer", { notNull: true })], {
      schema: "My Schema",
      key: ["select"],
    });
    expect(sqlOf(catalog({ tables: [nasty] }), catalog())).toEqual([
      'CREATE SCHEMA IF NOT EXISTS "My Schema"',
      'CREATE TABLE "My Schema"."a ""b"" C" (\n  "select" integer NOT NULL,\n  "_sluice_lsn" bigint,\n  PRIMARY KEY ("select")\n)',
    ]);
  });

  test("is empty when the read database has everything", () => {
    const source = catalog({ tables: [table("t", [column("id")])] });
    expect(planTables(source, catalog({ tables: [table("t", [column("id"), position])] }), every)).toEqual({
      steps: [],
      problems: [],
      leftOut: [],
    });
  });

  test("leaves out unlogged tables and those that the filter excludes", () => {
    const source = catalog({
      tables: [table("u", [column("id")], { logged: false }), table("x", [column("id")])],
    });
    expect(planTables(source, catalog(), tableFilter(["!public.x"])).steps).toEqual([]);
  });

  test("adds a column without NOT NULL unless it is generated: older changes lack its value", () => {
    const more = column("n", "integer", { notNull: true });
    const generated = column("twice", "integer", { generated: "(n * 2)", notNull: true });
    const source = catalog({ tables: [table("t", [column("id"), generated, more])] });
    expect(sqlOf(source, catalog({ tables: [table("t", [column("id")])] }))).toEqual([
      `ALTER TABLE "public"."t" ADD COLUMN IF NOT EXISTS "n" integer`,
      'ALTER TABLE "public"."t" ADD COLUMN IF NOT EXISTS "twice" integer GENERATED ALWAYS AS ((n * 2)) STORED NOT NULL',
      'ALTER TABLE "public"."t" ADD COLUMN IF NOT EXISTS "_sluice_lsn" bigint',
    ]);
  });

  test("gives a column the value that the primary's older rows have", () => {
    const added = column("note", "text", { before: "it's" });
    const source = catalog({ tables: [table("t", [column("id"), added])] });
    expect(sqlOf(source, catalog({ tables: [table("t", [column("id"), position])] }))).toEqual([
      `ALTER TABLE "public"."t" ADD COLUMN IF NOT EXISTS "note" text DEFAULT 'it''s'`,
    ]);
    expect(sqlOf(source, catalog()).join()).toContain(`"note" text DEFAULT 'it''s'`);
  });

  test("puts new enum labels where the primary has them", () => {
    const source = catalog({
      types: [type("public.e", "enum", { labels: ["first", "a", "it's", "b\\c"] })],
      tables: [table("t", [column("e", "public.e")])],
    });
    const target = catalog({
      types: [type("public.e", "enum", { labels: ["a"] })],
      tables: [table("t", [column("e", "public.e"), position])],
    });
    expect(sqlOf(source, target)).toEqual([
      `ALTER TYPE "public"."e" ADD VALUE IF NOT EXISTS 'first' BEFORE 'a'`,
      `ALTER TYPE "public"."e" ADD VALUE IF NOT EXISTS 'it''s' AFTER 'a'`,
      `ALTER TYPE "public"."e" ADD VALUE IF NOT EXISTS E'b\\\\c' AFTER 'it''s'`,
    ]);
  });

  test("creates a type after those that it is built on, and none that no table uses", () => {
    const inner = { id: "public.inner", sql: "public.inner", schemaSql: "public" };
    const source = catalog({
      types: [
        type("public.outer", "domain", { base: inner, checks: [{ name: "c", sql: "(VALUE > 1)" }] }),
        type("public.inner", "domain", { base: column("", "integer").type, notNull: true }),
        type("public.unused", "enum", { labels: ["x"] }),
      ],
      tables: [table("t", [column("d", "public.outer")])],
    });
    expect(sqlOf(source, catalog()).slice(0, 2)).toEqual([
      'CREATE DOMAIN "public"."inner" AS integer NOT NULL',
      'CREATE DOMAIN "public"."outer" AS public.inner CONSTRAINT "c" CHECK ((VALUE > 1))',
    ]);
  });

  test("gives a range's multirange the name that it has on the primary", () => {
    const base = column("", "numeric").type;
    const source = catalog({
      types: [type("public.r", "range", { base, multirange: 'public."My Many"' })],
      tables: [table("t", [column("r", "public.r")])],
    });
    expect(sqlOf(source, catalog())[0]).toBe(
      'CREATE TYPE "public"."r" AS RANGE (SUBTYPE = numeric, MULTIRANGE_TYPE_NAME = public."My Many")',
    );
  });

  test("follows an extension to the schema that it has in the read database", () => {
    const source = catalog({
      extensions: [{ name: "citext", schema: "public" }],
      types: [type("public.citext", "base", { extension: "citext" })],
      tables: [table("t", [column("c", "public.citext")])],
    });
    const target = catalog({ extensions: [{ name: "citext", schema: "Ext" }], schemas: ["public", "Ext"] });
    expect(sqlOf(source, target).join()).toContain('"c" "Ext".citext');
    expect(sqlOf(source, catalog())[0]).toBe(
      'CREATE EXTENSION IF NOT EXISTS "citext" WITH SCHEMA "public" CASCADE',
    );
  });

  test("names a missing function with a remedy, and goes on with the other tables", () => {
    const needs = [{ name: "function public.tax(numeric)", extension: null }];
    const source = catalog({
      types: [type("public.d", "domain", { base: column("", "integer").type, needs })],
      tables: [
        table("a", [column("g", "numeric", { generated: "public.tax(n)", needs })]),
        table("b", [column("d", "public.d")]),
        table("c", [column("id")]),
      ],
    });
    const { steps, problems, leftOut } = planTables(source, catalog(), every);
    expect(steps.map((step) => step.object)).toEqual(['"public"."c"']);
    expect(problems.map((problem) => problem.object)).toEqual(['"public"."d"', '"public"."a"."g"']);
    expect(leftOut).toEqual(['"public"."a"', '"public"."b"']);
    expect(problems[0]?.remedy).toContain("function public.tax(numeric)");
    const ready = catalog({ names: new Set(["function public.tax(numeric)"]) });
    expect(planTables(source, ready, every).problems).toEqual([]);
  });
});

test("without an extension, only what needs it is left out: its types, types built on them, expressions", () => {
  const citext = { id: "public.citext", sql: "public.citext", schemaSql: "public" };
  const needs = [{ name: "operator public.=(citext,citext)", extension: "citext" }];
  const source = catalog({
    extensions: [{ name: "citext", schema: "public" }],
    types: [
      type("public.citext", "base", { extension: "citext" }),
      type("public.email", "domain", { base: citext }),
      type("public.checked", "domain", { base: column("", "text").type, needs }),
    ],
    tables: [
      table("a", [column("c", "public.citext")]),
      table("b", [column("e", "public.email")]),
      table("c", [column("d", "public.checked")]),
      table("d", [column("g", "boolean", { generated: "t = 'x'", needs })]),
      table("e", [column("id")]),
      table("f", [column("c", "public.citext")]),
    ],
  });
  // A table that has the column already, as text, say, does not need the extension.
  const target = catalog({ tables: [table("f", [column("c", "text")])] });
  const plan = planTables(source, target, every, new Set(["citext"]));
  expect(plan.steps.map((step) => step.object)).toEqual(['"public"."e"', '"public"."f"."_sluice_lsn"']);
  expect(plan.leftOut).toEqual(["a", "b", "c", "d"].map((name) => `"public"."${name}"`));
  expect(plan.problems).toEqual([]);
});

test("with the primary known, only tables that it has too get the position", () => {
  const target = catalog({ tables: [table("a", []), table("local", []), table("scratch", [])] });
  const source = catalog({ tables: [table("a", []), table("scratch", [], { logged: false })] });
  const plan = planPreparation(target, every, source);
  expect(plan.steps.map((step) => step.object)).toEqual(['"public"."a"."_sluice_lsn"']);
});

test("without the primary, tables that pass the filter and lack the position get it", () => {
  const target = catalog({ tables: [table("a", []), table("b", [position]), table("c", [])] });
  const plan = planPreparation(target, tableFilter(["!public.c"]), undefined);
  expect(plan.steps.map((step) => step.object)).toEqual(['"public"."a"."_sluice_lsn"']);
});
