import { Redis } from "ioredis";

/** User and system time that the server has used, in seconds, as it counts itself. */
export async function redisCpuSeconds(redisUrl: string): Promise<number> {
  const redis = new Redis(redisUrl);
  try {
    const facts = await redis.info("cpu");
    const value = (name: string): number =>
      Number(new RegExp(`^${name}:([\\d.]+)`, "m").exec(facts)?.[1] ?? 0);
    return value("used_cpu_user") + value("used_cpu_sys");
  } finally {
    redis.disconnect();
  }
}
