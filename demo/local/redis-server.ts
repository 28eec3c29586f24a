import { mkdirSync } from "node:fs";
import { connect } from "node:net";
import { freePort } from "./free-port.ts";
import { ensureServers } from "./install.ts";
import { startProgram, waitUntilReady, type Program } from "./process.ts";

export interface RedisOptions {
  readonly folder: string;
  readonly port?: number;
  /** Path of a Unix-domain socket on which it listens too; default none. */
  readonly socket?: string;
  /**
   * Default everysec. While a flush to a slow disk is under way Redis then answers before it has written, so that a kill loses what it
   * had acknowledged; `always` does not.
   */
  readonly appendfsync?: "always" | "everysec";
}

/** A Redis of its own on 127.0.0.1 that keeps what it acknowledged: append-only, nothing evicted. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
  /** SIGKILL; the append-only file is read at the next start. */
  kill(): Promise<void>;
  /** Starts it again, on the same port; stops it first when it runs. */
  restart(): Promise<void>;
}

export async function startRedis(options: RedisOptions): Promise<RedisServer> {
  const { redisServer } = await ensureServers();
  const { folder, socket, appendfsync = "everysec" } = options;
  const port = options.port ?? (await freePort());
  mkdirSync(folder, { recursive: true });
  const start = (): Promise<Program> =>
    startServer({ command: redisServer, folder, port, socket, appendfsync });
  let server = await start();
  const stop = async (): Promise<void> => {
    await server.stop();
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    stop,
    async kill() {
      await server.kill();
    },
    async restart() {
      await stop();
      server = await start();
    },
  };
}

/** As in docker-compose.yml, which says why. */
export const redisSettings = {
  appendonly: "yes",
  "maxmemory-policy": "noeviction",
  save: "",
  "stream-node-max-bytes": "16384",
};

/** Settings as arguments of redis-server. */
export function redisArguments(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

interface Launch {
  readonly command: string;
  readonly folder: string;
  readonly port: number;
  readonly socket: string | undefined;
  readonly appendfsync: string;
}

async function startServer({ command, folder, port, socket, appendfsync }: Launch): Promise<Program> {
  const settings = {
    bind: "127.0.0.1",
    port: String(port),
    dir: folder,
    daemonize: "no",
    appendfsync,
    ...redisSettings,
    ...(socket !== undefined && { unixsocket: socket }),
  };
  const server = await startProgram({
    name: "Redis",
    command,
    args: redisArguments(settings),
    logFile: `${folder}.log`,
    cwd: folder,
  });
  await waitUntilReady(server, { name: "Redis", timeoutMs: 60_000, isReady: () => answers(port) });
  return server;
}

/** Any reply but PONG (as LOADING while the file is read) means: not yet. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, timeout: 1_000 });
    const finish = (ready: boolean): void => {
      socket.destroy();
      resolve(ready);
    };
    socket.once("connect", () => socket.write("PING\r\n"));
    socket.once("data", (reply) => finish(reply.toString().startsWith("+PONG")));
    socket.once("error", () => finish(false));
    socket.once("timeout", () => finish(false));
  });
}
