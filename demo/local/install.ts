import {
  findJdk,
  findPostgresFolder,
  findProgram,
  minimumJava,
  minimumPostgres,
  type Jdk,
} from "./locate.ts";
import { runToEnd } from "./process.ts";

/** Where the programs are that the local pipeline is made of. */
export interface LocalTools {
  /** The folder of `initdb` and `postgres`. */
  readonly postgresFolder: string;
  readonly redisServer: string;
}

/** What Debezium Server needs in addition. */
export interface JavaTools {
  readonly jdk: Jdk;
  readonly mvn: string;
}

/** PostgreSQL and Redis: found, or installed where that takes no questions (root on Debian), or an error that says how. */
export async function ensureServers(): Promise<LocalTools> {
  return {
    postgresFolder: await ensure({
      what: `PostgreSQL ${minimumPostgres} or newer (server programs)`,
      packages: ["postgresql"],
      find: findPostgresFolder,
    }),
    redisServer: await ensure({
      what: "redis-server",
      packages: ["redis-server"],
      find: () => findProgram("redis-server"),
    }),
  };
}

/** A JDK and Maven, in the same way. */
export async function ensureJava(): Promise<JavaTools> {
  const jdk = await ensure({
    what: `a JDK ${minimumJava} or newer (JAVA_HOME, PATH and /usr/lib/jvm were searched)`,
    packages: ["openjdk-25-jdk-headless", "openjdk-21-jdk-headless"],
    find: findJdk,
  });
  const mvn = await ensure({ what: "Maven", packages: ["maven"], find: () => findProgram("mvn") });
  return { jdk, mvn };
}

/** The program that reads compose files; it needs no engine for that. */
export function ensureDockerCompose(): Promise<string> {
  return ensure({
    what: "docker-compose",
    packages: ["docker-compose"],
    find: () => findProgram("docker-compose"),
  });
}

interface Need<Found> {
  readonly what: string;
  /** Alternatives: the first that apt knows is installed. */
  readonly packages: readonly string[];
  readonly find: () => Found | undefined;
}

async function ensure<Found>(need: Need<Found>): Promise<Found> {
  const found = need.find();
  if (found !== undefined) return found;
  const command = `apt-get update && apt-get install -y ${need.packages.at(-1)}`;
  if (process.getuid?.() !== 0 || findProgram("apt-get") === undefined) {
    throw new Error(`${need.what} is missing; install it, on Debian or Ubuntu with: sudo sh -c '${command}'`);
  }
  await installFirstKnown(need.packages);
  const installed = need.find();
  if (installed === undefined) {
    throw new Error(
      `${need.what} is missing, and apt has no package for it; install it by hand and try again`,
    );
  }
  return installed;
}

async function installFirstKnown(packages: readonly string[]): Promise<void> {
  await runToEnd("apt-get", ["update"]);
  for (const name of packages) {
    if (!(await isKnown(name))) continue;
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    await runToEnd("apt-get", ["install", "-y", "--no-install-recommends", name], { env });
    return;
  }
}

async function isKnown(name: string): Promise<boolean> {
  const output = await runToEnd("apt-cache", ["policy", name]);
  return /Candidate: (?!\(none\))/.test(output);
}
