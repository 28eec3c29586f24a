import { accessSync, constants, existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";

/** Looks for programs on this machine; nothing is started or changed. */

export const minimumPostgres = 14;
export const minimumJava = 21;

export interface Jdk {
  readonly home: string;
  readonly major: number;
}

/** A program on PATH, or in a folder where distributions put server programs. */
export function findProgram(name: string): string | undefined {
  const folders = [
    ...(process.env["PATH"] ?? "").split(delimiter),
    "/usr/local/bin",
    "/usr/bin",
    "/usr/sbin",
  ];
  return folders
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/** The folder with `initdb` and `postgres`. Debian keeps them off PATH, one folder for each version: the newest wins. */
export function findPostgresFolder(): string | undefined {
  const base = "/usr/lib/postgresql";
  const versioned = subfolders(base)
    .filter((name) => Number(name) >= minimumPostgres)
    .sort((a, b) => Number(b) - Number(a))
    .map((name) => join(base, name, "bin"))
    .find((folder) => isExecutable(join(folder, "initdb")) && isExecutable(join(folder, "postgres")));
  if (versioned !== undefined) return versioned;
  const onPath = findProgram("initdb");
  return onPath === undefined ? undefined : dirname(realpathSync(onPath));
}

/** A JDK that Debezium Server runs on: JAVA_HOME, then PATH, then the newest of the usual folder. */
export function findJdk(): Jdk | undefined {
  const onPath = findProgram("java");
  const first = [process.env["JAVA_HOME"], onPath && dirname(dirname(realpathSync(onPath)))].flatMap(jdkAt);
  const installed = subfolders("/usr/lib/jvm")
    .flatMap((name) => jdkAt(join("/usr/lib/jvm", name)))
    .sort((a, b) => b.major - a.major);
  return [...first, ...installed].find((jdk) => jdk.major >= minimumJava);
}

/** Every JDK has a file named `release`; a JRE has no compiler, and the router has to be compiled. */
function jdkAt(home: string | undefined): Jdk[] {
  if (home === undefined || home === "" || !isExecutable(join(home, "bin", "javac"))) return [];
  const release = join(home, "release");
  if (!existsSync(release)) return [];
  const major = /^JAVA_VERSION="(\d+)/m.exec(readFileSync(release, "utf8"))?.[1];
  return major === undefined ? [] : [{ home, major: Number(major) }];
}

function subfolders(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
