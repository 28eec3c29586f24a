import { createConnection, type NetConnectOpts, type Socket } from "node:net";
import { AbstractConnector } from "ioredis";

/** Takes what a socket receives into memory of its own. */
export interface Receiver {
  /** Where the next bytes are to be written; asked for after each `received`. Not empty. */
  room(): Buffer;
  /** So many bytes are now at the beginning of the room that was given last, or of `sharedRoom` if none was. */
  received(bytes: number): void;
}

/** Room for what nobody has made room for: it is written over by what comes next, on any socket. */
export const sharedRoom = Buffer.allocUnsafeSlow(16 * 1024);

const receivers = new WeakMap<object, Receiver>();

/** From now on the socket's bytes go to the receiver, if the connector below made it; others go on with `data`. */
export function receive(socket: object, receiver: Receiver): void {
  receivers.set(socket, receiver);
}

/**
 * Makes sockets into whose receiver's memory the operating system writes. By itself Node allocates 64 KiB for each read, and what the collector
 * has not yet freed of them is more than all that a member holds.
 */
export class ReceivingConnector extends AbstractConnector {
  private readonly where: NetConnectOpts;

  /** As ioredis has read them from a URL. */
  constructor(options: unknown) {
    const { path, host, port, family, disconnectTimeout } = options as Where;
    super(disconnectTimeout);
    this.where = path === undefined || path === null ? { host, port, family } : { path };
  }

  connect(): Promise<Socket> {
    let receiver: () => Receiver | undefined = () => undefined;
    const socket = createConnection({
      ...this.where,
      onread: {
        buffer: () => receiver()?.room() ?? sharedRoom,
        callback: (bytes, room) => {
          const taker = receiver();
          if (taker === undefined) socket.emit("data", Buffer.from(room.subarray(0, bytes)));
          else taker.received(bytes);
          return true;
        },
      },
    });
    receiver = () => receivers.get(socket);
    socket.once("error", (error) => {
      this.firstError = error;
    });
    this.stream = socket;
    return Promise.resolve(socket);
  }
}

interface Where {
  readonly path?: string | null;
  readonly host?: string;
  readonly port: number;
  readonly family?: number;
  readonly disconnectTimeout: number;
}
