import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";

const composeFile = z.object({ services: z.record(z.string(), z.object({ image: z.string().optional() })) });

/** The image of a service in docker-compose.yml: tests run on the release that is handed out. */
export function composeImage(service: string): string {
  const text = readFileSync(new URL("../../docker-compose.yml", import.meta.url), "utf8");
  const image = composeFile.parse(parse(text, { merge: true })).services[service]?.image;
  if (image === undefined) throw new Error(`docker-compose.yml names no image for ${service}`);
  return image;
}
