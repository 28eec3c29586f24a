import type { TestProject } from "vitest/node";
import { services } from "./services.ts";

declare module "vitest" {
  export interface ProvidedContext {
    redisUrl: string;
    databaseUrl: string;
  }
}

/** Servers for the whole live project; each test makes its own database and key prefix in them. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running = await services();
  project.provide("redisUrl", running.redisUrl);
  project.provide("databaseUrl", running.postgresUrl);
  return () => running.stop();
}
