import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { expect, test } from "vitest";
import { BufferPool } from "../../../src/source/buffer-pool.ts";
import { ReplyChannel } from "../../../src/source/reply-channel.ts";

const timeoutMs = 150;

test("silence ends an exchange that waits, not one that was answered before it", async () => {
  await using server = await startServer((socket, command) => {
    if (command === "slow") for (const ms of [100, 200, 300]) setTimeout(() => socket.write("+OK\r\n"), ms);
    else if (command !== "silent") socket.write("+OK\r\n");
  });
  const channel = await server.channel();
  await channel.exchange("quick", 1, timeoutMs);
  await sleep(timeoutMs * 2);
  // Longer than the limit in all, but never silent for so long.
  await channel.exchange("slow", 3, timeoutMs);
  const asked = performance.now();
  await expect(channel.exchange("silent", 1, timeoutMs)).rejects.toThrow("no answer in time");
  expect(performance.now() - asked).toBeGreaterThan(timeoutMs * 0.9);
  await expect(channel.exchange("quick", 1, timeoutMs)).rejects.toThrow("no answer in time");
});

test("another limit holds from the exchange on that it is for", async () => {
  await using server = await startServer(() => undefined);
  const channel = await server.channel();
  const asked = performance.now();
  void channel.exchange("silent", 1, 60_000).catch(() => undefined);
  await expect(channel.exchange("silent", 1, timeoutMs)).rejects.toThrow("no answer in time");
  expect(performance.now() - asked).toBeLessThan(10_000);
});

interface Server extends AsyncDisposable {
  channel(): Promise<ReplyChannel>;
}

async function startServer(answer: (socket: Socket, command: string) => void): Promise<Server> {
  const open: Socket[] = [];
  const server = createServer((socket) => {
    open.push(socket);
    socket.on("data", (command) => answer(socket, command.toString()));
    socket.on("error", () => undefined);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    async channel() {
      const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
      await once(socket, "connect");
      open.push(socket);
      const redis = {
        stream: socket,
        once: () => undefined,
        disconnect: () => socket.destroy(),
      };
      return new ReplyChannel(redis as unknown as Redis, new BufferPool(0));
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
    },
  };
}
