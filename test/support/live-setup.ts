import type { TestProject } from "vitest/node";
import { services } from "./services.ts";

declare module "vitest" {
  export interface ProvidedContext {
    redisUrl: string;
    /** A superuser's: tests make databases of their own in it. */
    postgresUrl: string;
  }
}

/** One Redis and one PostgreSQL for all live tests; each test makes its own database and key prefix in them. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running = await services();
  project.provide("redisUrl", running.redisUrl);
  project.provide("postgresUrl", running.postgresUrl);
  return async () => {
    await running[Symbol.asyncDispose]();
  };
}
