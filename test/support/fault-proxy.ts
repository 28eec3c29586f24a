import { connect, createServer, type Server, type Socket } from "node:net";
import { freePort } from "../../demo/local/free-port.ts";

/** The reply to lose: the first bytes from the server that `reply` says yes to, on a connection whose client has sent `request`. */
export interface LostReply {
  readonly request: string;
  readonly reply: (bytes: Buffer) => boolean;
}

/**
 * Stands between a client and a TCP server and breaks what passes, as told at run time. Faults but `delay` end with `heal`;
 * what `freeze` held back passes then, what `strand` cut off never does.
 */
export interface FaultProxy extends AsyncDisposable {
  /** The server's address with the proxy's host and port in place of its own. */
  readonly url: string;
  /** Connections that clients hold at the moment. */
  readonly connections: number;
  /** Resets every connection; new ones are fine. */
  cut(): void;
  /** Resets every connection and refuses new ones. */
  refuse(): Promise<void>;
  /** Nothing passes in either direction, also on new connections; none is closed. */
  freeze(): void;
  /** The present connections are dead for ever, and nobody is told, as when a firewall forgets them; new ones are fine. */
  strand(): void;
  /** Each piece of data takes this much longer, in both directions. */
  delay(milliseconds: number): void;
  /** Loses one reply and cuts its connection; resolves when that has happened. */
  loseReply(which: LostReply): Promise<void>;
  heal(): Promise<void>;
}

/** PostgreSQL is ready for the next one, and in no transaction. */
const readyAndIdle = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

/** A commit whose outcome the member does not learn: the first statement of its packets, which moves the checkpoint, says which they are. */
export const lostCommit: LostReply = {
  request: "sluice_step_0\0",
  reply: (bytes) => bytes.includes(readyAndIdle),
};

export async function startFaultProxy(targetUrl: string): Promise<FaultProxy> {
  const target = new URL(targetUrl);
  const port = await freePort();
  const proxy = new Proxy({ host: target.hostname, port: Number(target.port) }, port);
  await proxy.listen();
  target.hostname = "127.0.0.1";
  target.port = String(port);
  return {
    url: target.href,
    get connections() {
      return [...proxy.links].filter((link) => link.isOpen).length;
    },
    cut: () => proxy.cut(),
    refuse: () => proxy.refuse(),
    freeze: () => proxy.freeze(),
    strand: () => proxy.strand(),
    delay: (milliseconds) => void (proxy.delayMs = milliseconds),
    loseReply: (which) => proxy.loseReply(which),
    heal: () => proxy.heal(),
    [Symbol.asyncDispose]: () => proxy.refuse(),
  };
}

interface Loss extends LostReply {
  readonly done: () => void;
}

class Proxy {
  readonly links = new Set<Link>();
  delayMs = 0;
  loss: Loss | undefined;
  frozen = false;
  private readonly target: { readonly host: string; readonly port: number };
  private readonly port: number;
  private server: Server | undefined;

  constructor(target: { readonly host: string; readonly port: number }, port: number) {
    this.target = target;
    this.port = port;
  }

  async listen(): Promise<void> {
    if (this.server !== undefined) return;
    const server = createServer((client) => {
      const link = new Link(this, client, connect({ ...this.target, noDelay: true }));
      this.links.add(link);
    });
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: "127.0.0.1", port: this.port }, resolve);
    });
  }

  cut(): void {
    for (const link of this.links) link.reset();
  }

  async refuse(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    const closed = server && new Promise<void>((resolve) => server.close(() => resolve()));
    this.cut();
    await closed;
  }

  freeze(): void {
    this.frozen = true;
  }

  strand(): void {
    for (const link of this.links) link.stranded = true;
  }

  loseReply(which: LostReply): Promise<void> {
    return new Promise((resolve) => {
      this.loss = { ...which, done: resolve };
    });
  }

  async heal(): Promise<void> {
    this.delayMs = 0;
    this.loss = undefined;
    this.frozen = false;
    for (const link of this.links) link.flush();
    await this.listen();
  }
}

interface Piece {
  readonly to: Socket;
  readonly bytes: Buffer;
}

/** One client's connection and the one to the server that belongs to it. */
class Link {
  stranded = false;
  private readonly proxy: Proxy;
  private readonly client: Socket;
  private readonly server: Socket;
  /** In the order of arrival. */
  private waiting: Piece[] = [];
  private armed: Loss | undefined;

  constructor(proxy: Proxy, client: Socket, server: Socket) {
    this.proxy = proxy;
    this.client = client.setNoDelay();
    this.server = server;
    client.on("data", (bytes: Buffer) => this.fromClient(bytes));
    server.on("data", (bytes: Buffer) => this.fromServer(bytes));
    for (const socket of [client, server]) {
      socket.on("error", () => undefined);
      socket.on("close", () => this.end(socket));
    }
  }

  get isOpen(): boolean {
    return !this.client.destroyed;
  }

  /** Both ends see a connection that broke. */
  reset(): void {
    this.proxy.links.delete(this);
    this.client.resetAndDestroy();
    this.server.resetAndDestroy();
  }

  flush(): void {
    if (this.stranded) return;
    const waiting = this.waiting;
    this.waiting = [];
    for (const { to, bytes } of waiting) if (!to.destroyed) to.write(bytes);
  }

  private fromClient(bytes: Buffer): void {
    const { loss } = this.proxy;
    if (loss !== undefined && bytes.includes(loss.request)) this.armed = loss;
    this.pass({ to: this.server, bytes });
  }

  private fromServer(bytes: Buffer): void {
    const { loss } = this.proxy;
    if (loss !== undefined && loss === this.armed && loss.reply(bytes)) {
      this.proxy.loss = undefined;
      this.reset();
      loss.done();
      return;
    }
    this.pass({ to: this.client, bytes });
  }

  private pass(piece: Piece): void {
    if (this.stranded) return;
    this.waiting.push(piece);
    if (this.proxy.frozen) return;
    if (this.proxy.delayMs === 0) this.flush();
    else setTimeout(() => this.proxy.frozen || this.flush(), this.proxy.delayMs).unref();
  }

  /** A frozen link does not even pass on that an end has closed: the other end never learns of it. */
  private end(socket: Socket): void {
    const other = socket === this.client ? this.server : this.client;
    const silent = this.stranded || this.proxy.frozen;
    if (silent && !other.destroyed) {
      this.stranded = true;
      return;
    }
    this.flush();
    other.destroy();
    this.proxy.links.delete(this);
  }
}
