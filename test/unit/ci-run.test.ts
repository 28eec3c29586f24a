import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect, test } from "vitest";

const script = join(import.meta.dirname, "../../.ci/run");

/** What npm does when asked for `ci`, `run check` and `test`, as shell commands. */
interface FakeNpm {
  readonly ci?: string;
  readonly check?: string;
  readonly test: string;
}

/** Runs a copy of `.ci/run` with an npm of the test's own; gives its exit code and its last line. */
function runCi({
  ci = ":",
  check = ":",
  test: tests,
}: FakeNpm): readonly [number | null, string | undefined] {
  const folder = mkdtempSync(join(tmpdir(), "sluice-ci-"));
  try {
    mkdirSync(join(folder, ".ci"));
    cpSync(script, join(folder, ".ci", "run"));
    const npm = join(folder, "npm");
    writeFileSync(npm, `#!/bin/bash\ncase "$1" in ci) ${ci};; run) ${check};; test) ${tests};; esac\n`);
    chmodSync(npm, 0o755);
    const { status, stdout } = spawnSync("bash", [join(folder, ".ci", "run")], {
      env: { ...process.env, PATH: `${folder}${delimiter}${process.env["PATH"]}` },
      encoding: "utf8",
    });
    return [status, stdout.trimEnd().split("\n").at(-1)];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test.each<[string, FakeNpm, number, string]>([
  ["all is well", { test: "echo '7 passed, 0 failed'" }, 0, "7 passed, 0 failed"],
  ["a test fails", { test: "echo '6 passed, 1 failed'; exit 1" }, 1, "6 passed, 1 failed"],
  ["the check fails", { check: "exit 1", test: "echo '7 passed, 0 failed'" }, 1, "7 passed, 1 failed"],
  ["both fail", { check: "exit 2", test: "echo '6 passed, 1 failed'; exit 1" }, 1, "6 passed, 2 failed"],
  ["the tests end without counts", { test: "echo crashed >&2; exit 1" }, 1, "0 passed, 1 failed"],
  [
    "the tests are told to have passed",
    { test: "echo '7 passed, 0 failed'; exit 1" },
    1,
    "7 passed, 1 failed",
  ],
  ["nothing can be installed", { ci: "exit 1", test: "echo '7 passed, 0 failed'" }, 1, "0 passed, 1 failed"],
])(".ci/run ends with its counts and the exit code for them when %s", (_, npm, code, last) => {
  expect(runCi(npm)).toEqual([code, last]);
});
