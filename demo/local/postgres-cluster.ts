import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import pg from "pg";
import { freePort } from "./free-port.ts";
import { ensureServers } from "./install.ts";
import { startProgram, waitUntilReady, type Program } from "./process.ts";

export interface PostgresOptions {
  /** The cluster's own folder; made when it is not there. */
  readonly folder: string;
  readonly port?: number;
  /** The database that `url` names; made in the new cluster. Default `postgres`. */
  readonly database?: string;
  /** Server settings by name, such as `wal_level`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * A PostgreSQL cluster of its own on 127.0.0.1, superuser `postgres` without a password.
 *
 * `fsync` stays on: what was committed before `kill()` is there after `restart()`, as on a real server.
 */
export interface PostgresCluster {
  readonly url: string;
  readonly port: number;
  /** Ends open connections and shuts down cleanly. */
  stop(): Promise<void>;
  /** As a power cut would: no checkpoint, recovery at the next start. */
  kill(): Promise<void>;
  /** Starts it again, on the same port; stops it first when it runs. */
  restart(): Promise<void>;
}

export async function startPostgres(options: PostgresOptions): Promise<PostgresCluster> {
  const { postgresFolder } = await ensureServers();
  const port = options.port ?? (await freePort());
  const url = `postgresql://postgres@127.0.0.1:${port}/${options.database ?? "postgres"}`;
  const cluster = { ...options, postgresFolder, port };
  await initialise(cluster);
  let server = await startServer(cluster);
  await createDatabase(port, options.database);
  const stop = async (): Promise<void> => {
    // SIGTERM would wait for the clients to leave.
    await server.stop({ signal: "SIGINT", graceMs: 20_000 });
  };
  return {
    url,
    port,
    stop,
    async kill() {
      await server.kill();
    },
    async restart() {
      await stop();
      server = await startServer(cluster);
    },
  };
}

interface Cluster extends PostgresOptions {
  readonly postgresFolder: string;
  readonly port: number;
}

async function initialise({ folder, postgresFolder }: Cluster): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const user = unprivilegedUser();
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const program = await startProgram({
    name: "initdb",
    command: join(postgresFolder, "initdb"),
    // The C locale exists everywhere and makes both clusters sort alike.
    args: [
      "-D",
      join(folder, "data"),
      "-U",
      "postgres",
      "--auth=trust",
      "--encoding=UTF8",
      "--locale=C",
      "--no-sync",
    ],
    logFile: `${folder}.initdb.log`,
    cwd: folder,
    ...(user && { user: user.name }),
  });
  const { code } = await program.exited;
  if (code !== 0) throw new Error(`initdb ended with ${code}:\n${program.log()}`);
}

/** After a kill, the old server's processes may hold its shared memory for a moment: the next start then fails, and is tried again. */
async function startServer(cluster: Cluster): Promise<Program> {
  for (let attempt = 1; ; attempt++) {
    const server = await launch(cluster);
    try {
      await waitUntilReady(server, {
        name: `PostgreSQL in ${cluster.folder}`,
        timeoutMs: 60_000,
        isReady: () => answers(cluster.port),
      });
      return server;
    } catch (error) {
      await server.kill();
      if (attempt === 20 || !/pre-existing shared memory|lock file/.test(server.log())) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

function launch({ folder, postgresFolder, port, settings }: Cluster): Promise<Program> {
  const user = unprivilegedUser();
  const all = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: folder,
    timezone: "UTC",
    log_timezone: "UTC",
    ...settings,
  };
  return startProgram({
    name: "PostgreSQL",
    command: join(postgresFolder, "postgres"),
    args: [
      "-D",
      join(folder, "data"),
      "-p",
      String(port),
      ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    logFile: `${folder}.log`,
    cwd: folder,
    ...(user && { user: user.name }),
  });
}

async function answers(port: number): Promise<boolean> {
  const client = new pg.Client({
    connectionString: `postgresql://postgres@127.0.0.1:${port}/postgres`,
    connectionTimeoutMillis: 2_000,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("SELECT 1");
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function createDatabase(port: number, name: string | undefined): Promise<void> {
  if (name === undefined || name === "postgres") return;
  const client = new pg.Client({ connectionString: `postgresql://postgres@127.0.0.1:${port}/postgres` });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root. Debian's package brings the user `postgres`; `nobody` is everywhere. */
function unprivilegedUser(): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ["postgres", "nobody"]) {
    const [uid, gid] = [idOf("-u", name), idOf("-g", name)];
    if (uid !== undefined && gid !== undefined) return { name, uid, gid };
  }
  throw new Error("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as");
}

function idOf(flag: "-u" | "-g", name: string): number | undefined {
  const { status, stdout } = spawnSync("id", [flag, name], { encoding: "utf8" });
  return status === 0 ? Number(stdout.trim()) : undefined;
}
