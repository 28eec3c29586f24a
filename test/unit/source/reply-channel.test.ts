import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { expect, test } from "vitest";
import { BufferPool } from "../../../src/source/buffer-pool.ts";
import { ReplyChannel } from "../../../src/source/reply-channel.ts";

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
