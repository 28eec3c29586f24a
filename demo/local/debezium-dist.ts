import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { ensureJava } from "./install.ts";
import { newestChange } from "./newest-change.ts";
import { runToEnd } from "./process.ts";

const version = "3.6.1.Final";

/** The checkout's `debezium/` folder, which compose and tests use as well. */
const debeziumFolder = join(import.meta.dirname, "..", "..", "debezium");

/** Debezium Server, unpacked: from the cache folder, else from Maven Central (about 0.8 GB, once). */
export async function fetchDebezium(): Promise<string> {
  const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "sluice");
  const target = join(cache, `debezium-server-${version}`);
  if (existsSync(target)) return target;
  mkdirSync(cache, { recursive: true });
  const archive = await fetchArchive();
  // Unpacked beside its place and renamed: whoever sees the folder sees all of it.
  const temp = mkdtempSync(join(cache, "unpacking-"));
  try {
    // Nine tenths of the files are the other connectors, which a PostgreSQL source never loads.
    await runToEnd("tar", ["-xzf", archive, "-C", temp, "--exclude=debezium-server/connectors"]);
    moveInto(join(temp, "debezium-server"), target);
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
  return target;
}

/** Another process may have been faster; its copy is as good. */
function moveInto(folder: string, target: string): void {
  try {
    renameSync(folder, target);
  } catch (error) {
    if (!existsSync(target)) throw error;
  }
}

async function fetchArchive(): Promise<string> {
  const { mvn, jdk } = await ensureJava();
  const options = { env: { ...process.env, JAVA_HOME: jdk.home }, cwd: tmpdir() };
  const artifact = `io.debezium:debezium-server-dist:${version}:tar.gz`;
  await runToEnd(
    mvn,
    ["-q", "-B", "dependency:get", `-Dartifact=${artifact}`, "-Dtransitive=false"],
    options,
  );
  const usual = archiveIn(join(homedir(), ".m2", "repository"));
  if (existsSync(usual)) return usual;
  const asked = await runToEnd(
    mvn,
    ["-q", "-B", "help:evaluate", "-Dexpression=settings.localRepository", "-DforceStdout"],
    options,
  );
  const archive = archiveIn(asked.trim().split("\n").at(-1) ?? "");
  if (!existsSync(archive)) throw new Error(`Maven fetched ${artifact}, but it is not at ${archive}`);
  return archive;
}

function archiveIn(repository: string): string {
  const name = `debezium-server-dist-${version}.tar.gz`;
  return join(repository, "io", "debezium", "debezium-server-dist", version, name);
}

/** The routing step's jar, built when its sources are newer. */
export async function buildRouter(): Promise<string> {
  const project = join(debeziumFolder, "shard-router");
  const jar = join(project, "target", "shard-router.jar");
  const built = statSync(jar, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const changed = Math.max(
    newestChange(join(project, "src", "main")),
    newestChange(join(project, "pom.xml")),
  );
  if (built >= changed) return jar;
  const { mvn, jdk } = await ensureJava();
  const env = { ...process.env, JAVA_HOME: jdk.home };
  await runToEnd(mvn, ["-q", "-B", "-DskipTests", "package"], { cwd: project, env });
  return jar;
}

/** A working folder as Debezium Server expects it: `config/application.properties` below where it is started. */
export function writeConfig(folder: string): void {
  mkdirSync(join(folder, "config"), { recursive: true });
  cpSync(join(debeziumFolder, "application.properties"), join(folder, "config", "application.properties"));
}
