import { setTimeout as pause } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { FaultKind } from "./fault-kinds.ts";
import type { PlannedFault } from "./plan.ts";
import { group, type Stage } from "./stage.ts";

const server = (): readonly string[] => ["redis server"];
const memory = (): readonly string[] => ["redis memory"];
const shard = ({ shard }: PlannedFault): readonly string[] => [`group ${shard}`];

const patienceMs = 60_000;

/** Tries until Redis has heard it: it may be restarting. */
async function configure(redis: Redis, setting: string, value: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      await redis.config("SET", setting, value);
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await pause(50);
    }
  }
}

async function usedMemory(redis: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info("memory"))?.[1] ?? 0);
}

/** Writes are refused: less is allowed than is used. */
async function limitMemory(redis: Redis): Promise<void> {
  await configure(redis, "maxmemory", Math.floor((await usedMemory(redis)) * 0.9));
}

/** On one shard's group; refused while the stream or the group is not there, or Redis writes nothing: then nothing happens. */
function onGroup(act: (redis: Redis, stream: string, fault: PlannedFault) => Promise<unknown>): FaultKind {
  return {
    holdMs: [0, 0],
    claims: shard,
    run: async ({ redis, streams }, fault) => {
      await act(redis, streams[fault.shard] ?? "", fault).catch(() => undefined);
    },
  };
}

function restarted(how: "stop" | "kill"): FaultKind {
  return {
    holdMs: [0, 1_500],
    claims: server,
    run: async ({ redisServer }, _fault, hold) => {
      await redisServer[how]();
      await hold();
      await redisServer.restart();
    },
  };
}

/** SIGSTOP to the server itself: everybody's connections hang. */
async function freezeServer({ redis }: Stage, hold: () => Promise<void>): Promise<void> {
  const pid = Number(/process_id:(\d+)/.exec(await redis.info("server"))?.[1] ?? 0);
  if (pid === 0) return;
  process.kill(pid, "SIGSTOP");
  await hold();
  process.kill(pid, "SIGCONT");
}

export const redisFaults: Readonly<Record<string, FaultKind>> = {
  "Redis restarted": restarted("stop"),
  "Redis killed": restarted("kill"),
  "Redis frozen": {
    holdMs: [200, 3_000],
    claims: server,
    run: (stage, _fault, hold) => freezeServer(stage, hold),
  },
  "Redis out of memory": {
    holdMs: [500, 4_000],
    claims: memory,
    run: async ({ redis }, _fault, hold) => {
      await limitMemory(redis);
      await hold();
      await configure(redis, "maxmemory", 0);
    },
  },
  "Redis's memory flaps": {
    holdMs: [0, 0],
    claims: memory,
    run: async ({ redis }) => {
      for (let index = 0; index < 30; index++) {
        await limitMemory(redis);
        await pause(20);
        await configure(redis, "maxmemory", 0);
        await pause(20);
      }
    },
  },
  "Redis refuses writes": {
    holdMs: [300, 3_000],
    claims: () => ["redis writes"],
    run: async ({ redis }, _fault, hold) => {
      await configure(redis, "min-replicas-to-write", 1);
      await hold();
      await configure(redis, "min-replicas-to-write", 0);
    },
  },
  "Redis drops every connection": {
    holdMs: [0, 0],
    claims: server,
    run: async ({ redis }) => {
      await redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    },
  },
  "group destroyed": onGroup((redis, stream) => redis.xgroup("DESTROY", stream, group)),
  "group set to the end": onGroup((redis, stream) => redis.xgroup("SETID", stream, group, "$")),
  "group set to the start": onGroup((redis, stream) => redis.xgroup("SETID", stream, group, "0")),
  "foreign consumer reads in the group": onGroup(async (redis, stream) => {
    await redis.xgroup("SETID", stream, group, "0");
    await redis.xreadgroup("GROUP", group, "intruder", "COUNT", 100, "STREAMS", stream, ">");
  }),
  "changes sent again": {
    holdMs: [0, 0],
    claims: () => [],
    run: async ({ load }, { roll }) => load.resend(1 + Math.floor(roll * 600)),
  },
};
