import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../../src");
const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));

interface Import {
  readonly target: string;
  readonly typeOnly: boolean;
}

function imports(file: string): Import[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from\s+"([^"]+)"/gm)].map(
    ([, type, target = ""]) => ({
      typeOnly: type !== undefined,
      target: target.startsWith(".") ? relative(root, join(root, file, "..", target)) : target,
    }),
  );
}

/** Who may import a package at run time. */
const packages: Readonly<Record<string, RegExp>> = {
  ioredis: /^(source|maintenance)\/|^pipeline\/build\.ts$/,
  pg: /^(sink|catalog)\/|^pipeline\/build\.ts$/,
  pino: /^observe\//,
  "prom-client": /^observe\//,
  commander: /^cli\//,
};

/** What a folder may import of the others. */
const pure: Readonly<Record<string, readonly string[]>> = {
  change: ["change"],
  errors: ["errors"],
  runtime: ["runtime", "node:timers", "node:v8"],
  decode: ["decode", "change", "errors", "observe/progress.ts"],
  batch: ["batch", "change", "decode", "catalog/shape-plan.ts"],
};

describe("the directions of imports", () => {
  it.each(Object.entries(packages))("%s is imported only where it belongs", (name, allowed) => {
    const wrong = files
      .filter((file) => !allowed.test(file))
      .filter((file) => imports(file).some((each) => each.target === name && !each.typeOnly));
    expect(wrong).toEqual([]);
  });

  it.each(Object.entries(pure))("%s imports nothing but what it may", (folder, allowed) => {
    const wrong = files
      .filter((file) => file.startsWith(`${folder}/`))
      .flatMap((file) => imports(file).map((each) => ({ file, ...each })))
      .filter(({ target }) => !allowed.some((prefix) => target === prefix || target.startsWith(`${prefix}/`)))
      .map(({ file, target }) => `${file} → ${target}`);
    expect(wrong).toEqual([]);
  });

  it("has found files and imports", () => {
    expect(files.length).toBeGreaterThan(30);
    expect(files.flatMap(imports).length).toBeGreaterThan(100);
  });

  it("only main.ts ends the process", () => {
    expect(files.filter((file) => readFileSync(join(root, file), "utf8").includes("process.exit("))).toEqual([
      "main.ts",
    ]);
  });
});
