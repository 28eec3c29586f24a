import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { expect, test } from "vitest";
import { BufferPool } from "../../../src/source/buffer-pool.ts";
import { ReceivingConnector } from "../../../src/source/receiving-socket.ts";
import { ReplyChannel } from "../../../src/source/reply-channel.ts";
import { ReplyCursor } from "../../../src/source/reply-scanner.ts";

const timeoutMs = 1_000;

test("silence ends an exchange that waits, not one that was answered before it", async () => {
  await using server = await startServer((socket, command) => {
    if (command === "slow")
      for (const ms of [300, 600, 900, 1_200]) setTimeout(() => socket.write("+OK\r\n"), ms);
    else if (command !== "silent") socket.write("+OK\r\n");
  });
  const channel = await server.channel();
  await channel.exchange("quick", 1, timeoutMs);
  await sleep(timeoutMs * 1.2);
  // Longer than the limit in all, but never silent for so long.
  await channel.exchange("slow", 4, timeoutMs);
  const asked = performance.now();
  await expect(channel.exchange("silent", 1, timeoutMs)).rejects.toThrow("no answer in time");
  expect(performance.now() - asked).toBeGreaterThan(timeoutMs * 0.9);
  await expect(channel.exchange("quick", 1, timeoutMs)).rejects.toThrow("no answer in time");
});

test("each exchange has a limit of its own", async () => {
  await using server = await startServer((socket, command) => {
    if (command !== "silent") setTimeout(() => socket.write("+OK\r\n"), Number(command));
  });
  const channel = await server.channel();
  await channel.exchange("0", 1, 300);
  await channel.exchange("600", 1, 60_000);
  const asked = performance.now();
  await expect(channel.exchange("silent", 1, 300)).rejects.toThrow("no answer in time");
  expect(performance.now() - asked).toBeLessThan(30_000);
});

test("a closed channel waits for nothing", async () => {
  await using server = await startServer((socket) => void socket.write("+OK\r\n"));
  const channel = await server.channel();
  const timers = (): number => process.getActiveResourcesInfo().filter((each) => each === "Timeout").length;
  const before = timers();
  await channel.exchange("quick", 1, 60_000);
  expect(timers()).toBe(before + 1);
  channel.close();
  expect(timers()).toBe(before);
});

const sizes = [0, 1, 3_000, 65_536, 70_000, 300_000, 5_000_000, 10, 9_000_000, 200];

test.each([true, false])("replies of any size come whole, received directly: %s", async (direct) => {
  await using server = await startServer((socket, command) => {
    const size = Number(command);
    socket.write(`+before\r\n$${size}\r\n`);
    const bytes = numbered(size);
    for (let from = 0; from < size; from += 100_000) socket.write(bytes.subarray(from, from + 100_000));
    socket.write("\r\n");
  });
  const pool = new BufferPool(2);
  const [one, other] = [await server.channel({ direct, pool }), await server.channel({ direct, pool })];
  for (const size of sizes) {
    const asked = [one, other].map((channel) => channel.exchange(String(size), 2, 10_000));
    for (const scanner of await Promise.all(asked)) {
      const reply = new ReplyCursor(scanner);
      expect(reply.text()).toBe("before");
      reply.bulk();
      expect(reply.bytes.subarray(reply.start, reply.end).equals(numbered(size))).toBe(true);
      pool.giveBack(reply.bytes);
    }
  }
});

test("after a failure nothing more is written to its buffer, which another channel may have by then", async () => {
  let goOn: () => void = () => undefined;
  await using server = await startServer((socket) => {
    socket.write(`$2000000\r\n${"a".repeat(1_000_000)}`);
    goOn = () => void socket.write("b".repeat(1_000_000));
  });
  const buffer = Buffer.alloc(4_000_000);
  const pool = { take: () => buffer, giveBack: () => undefined };
  const channel = await server.channel({ direct: true, pool });
  const closed = server.clients.map((socket) => once(socket, "close"));
  await expect(channel.exchange("silent", 1, 300)).rejects.toThrow("no answer in time");
  expect(buffer.includes("a".repeat(900_000))).toBe(true);
  goOn();
  // Whatever it still takes in, it has taken in by then.
  await Promise.all(closed);
  expect(buffer.includes("b")).toBe(false);
});

/** Bytes that are found out when they are in another place. */
function numbered(size: number): Buffer {
  const bytes = Buffer.alloc(Math.ceil(size / 4) * 4);
  for (let at = 0; at < size; at += 4) bytes.writeUInt32LE(at, at);
  return bytes.subarray(0, size);
}

interface ChannelOptions {
  /** By a socket that writes to the channel's own memory. Default false. */
  readonly direct?: boolean;
  readonly pool?: Pick<BufferPool, "take" | "giveBack">;
}

interface Server extends AsyncDisposable {
  /** The channels' sockets. */
  readonly clients: readonly Socket[];
  channel(options?: ChannelOptions): Promise<ReplyChannel>;
}

async function startServer(answer: (socket: Socket, command: string) => void): Promise<Server> {
  const open: Socket[] = [];
  const clients: Socket[] = [];
  const server = createServer((socket) => {
    open.push(socket);
    socket.on("data", (command) => answer(socket, command.toString()));
    socket.on("error", () => undefined);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    clients,
    async channel({ direct = false, pool = new BufferPool(0) } = {}) {
      const where = { port: (server.address() as AddressInfo).port, host: "127.0.0.1" };
      const connector = new ReceivingConnector({ ...where, disconnectTimeout: 2_000 });
      const socket = direct ? await connector.connect() : connect(where);
      await once(socket, "connect");
      clients.push(socket);
      const redis = {
        stream: socket,
        once: () => undefined,
        disconnect: () => socket.end(),
      };
      return new ReplyChannel(redis as unknown as Redis, pool);
    },
    async [Symbol.asyncDispose]() {
      for (const socket of [...open, ...clients]) socket.destroy();
      server.close();
    },
  };
}
