import { execFile, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { ensureDockerCompose } from "../../demo/local/install.ts";
import { redisArguments, redisSettings } from "../../demo/local/redis-server.ts";
import { expandList } from "../../src/config/braces.ts";
import { configFileEnv, optionList, options } from "../../src/config/options.ts";
import { parseAddress, parseDuration } from "../../src/config/values.ts";
import { composeImage } from "../support/compose-image.ts";

/** Without a Docker engine: the container files must agree with each other and with the code. */

const service = z.object({
  image: z.string().optional(),
  build: z.union([z.string(), z.object({ context: z.string(), target: z.string().optional() })]).optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: z.array(z.string()).optional(), disable: z.boolean().optional() }).optional(),
  profiles: z.array(z.string()).default([]),
  stop_grace_period: z.string().optional(),
});
const composeFile = z.object({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.unknown()),
});

const root = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");

const composeText = read("docker-compose.yml");
const compose = composeFile.parse(parse(composeText, { merge: true }));
const services = Object.entries(compose.services);
const manifest = z
  .object({ devDependencies: z.object({ node: z.string() }) })
  .parse(JSON.parse(read("package.json")));
const dockerfiles = { Dockerfile: read("Dockerfile"), "debezium/Dockerfile": read("debezium/Dockerfile") };
const properties = read("debezium/application.properties").replaceAll(/^#.*$/gm, "");

function serviceNamed(name: string): z.infer<typeof service> {
  const found = compose.services[name];
  if (found === undefined) throw new Error(`docker-compose.yml has no service ${name}`);
  return found;
}

/** One instruction's arguments, in every stage; continued lines are joined. */
function instructions(dockerfile: string, name: string): readonly string[] {
  const lines = dockerfile.replaceAll(/\\\n\s*/g, "").split("\n");
  return lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
}

/** Images that a Dockerfile starts from; not its own stages. */
function baseImages(dockerfile: string): readonly string[] {
  const from = instructions(dockerfile, "FROM").map((line) => line.split(" "));
  const stages = new Set(from.map(([, , stage]) => stage));
  return from.map(([image]) => image ?? "").filter((image) => !stages.has(image));
}

function lastStage(dockerfile: string): string {
  return dockerfile.slice(dockerfile.lastIndexOf("\nFROM "));
}

const defaultPort = parseAddress(options.httpAddress.default)?.port;
const knownVariables = new Set([
  configFileEnv,
  ...optionList.flatMap(({ env, secret }) => (secret === true ? [env, `${env}_FILE`] : [env])),
]);

const exactVersion = /^\d+\.\d+\.\d+$/;

/** PostgreSQL's releases have two numbers. */
const exactTag = /^(?:postgres:\d+\.\d+|[a-z0-9./-]+:\d+\.\d+\.\d+)(?:[.-][\w.-]+)?$/;

test("every image has a tag that names one release", () => {
  const images = [
    ...services.flatMap(([, { image }]) => image ?? []),
    ...Object.values(dockerfiles).flatMap(baseImages),
  ];
  expect(images.length).toBeGreaterThan(4);
  for (const image of images) expect(image).toMatch(exactTag);
});

test("compose runs the Debezium Server that the demo and the tests run, with the same JVM options", () => {
  const image = dockerfiles["debezium/Dockerfile"];
  const version = /^const version = "(.+)";$/m.exec(read("demo/local/debezium-dist.ts"))?.[1];
  expect(baseImages(image)).toContain(`quay.io/debezium/server:${version}`);
  const javaOptions = /^const javaOptions = \["(.+)"\];$/m.exec(read("demo/local/debezium-server.ts"))?.[1];
  expect(instructions(image, "ENV")).toContain(`JAVA_OPTS="${javaOptions?.replaceAll('", "', " ")}"`);
});

test("every stage runs the very Node that the tests run on", () => {
  const images = baseImages(dockerfiles.Dockerfile);
  expect(new Set(images)).toEqual(new Set([`node:${manifest.devDependencies.node}-trixie-slim`]));
  expect(manifest.devDependencies.node).toMatch(exactVersion);
});

test("tests that run in containers take the images that compose runs", () => {
  for (const name of ["redis", "primary", "read-database"])
    expect(composeImage(name)).toBe(serviceNamed(name).image);
  expect(read("test/support/services.ts")).not.toMatch(/GenericContainer\("/);
});

test("the image runs sluice as a numeric user, and asks it for its health", () => {
  const stage = lastStage(dockerfiles.Dockerfile);
  expect(instructions(stage, "USER")).toEqual([expect.stringMatching(/^[1-9]\d*:[1-9]\d*$/)]);
  expect(instructions(stage, "ENTRYPOINT")).toEqual(['["node", "/app/dist/main.js"]']);
  expect(instructions(stage, "CMD")).toEqual(['["run"]']);
  expect(instructions(stage, "HEALTHCHECK")[0]).toMatch(
    / CMD \["node", "\/app\/dist\/main\.js", "healthcheck"\]$/,
  );
  // Found beside dist/ by the program.
  expect(stage).toMatch(/^COPY package\.json /m);
  expect(stage).toMatch(/^COPY migrations migrations$/m);
});

test("what the Dockerfile copies is there and not ignored", () => {
  const allowed = new Set(
    read(".dockerignore")
      .split("\n")
      .flatMap((line) => (line.startsWith("!") ? line.slice(1) : [])),
  );
  const copied = instructions(dockerfiles.Dockerfile, "COPY")
    .filter((line) => !line.startsWith("--from="))
    .flatMap((line) => line.split(" ").slice(0, -1));
  for (const path of copied) {
    expect(allowed).toContain(path);
    expect(existsSync(new URL(path, root)), path).toBe(true);
  }
});

test("every SLUICE_ variable is an option", () => {
  const used = services.flatMap(([, { environment }]) =>
    Object.keys(environment).filter((key) => key.startsWith("SLUICE_")),
  );
  const inImage =
    instructions(dockerfiles.Dockerfile, "ENV")
      .join(" ")
      .match(/\bSLUICE_\w+(?==)/g) ?? [];
  expect(inImage).toContain("SLUICE_HTTP_ADDRESS");
  for (const name of [...used, ...inImage]) expect(knownVariables).toContain(name);
  for (const name of ["SLUICE_REDIS_URL", "SLUICE_DATABASE_URL"]) expect(used).toContain(name);
});

test("Debezium gets every variable that its configuration has no default for, and no unknown one", () => {
  const placeholders = [...properties.matchAll(/\$\{(\w+)(:?)/g)];
  const known = placeholders.map(([, name]) => name);
  const needed = placeholders.filter(([, , colon]) => colon === "").map(([, name]) => name);
  const given = Object.keys(serviceNamed("debezium").environment);
  expect(needed).toContain("SOURCE_HOST");
  for (const name of needed) expect(given).toContain(name);
  for (const name of given) expect(known).toContain(name);
});

test("sluice reads the streams that Debezium writes", () => {
  const { SHARDS, STREAM_PREFIX } = serviceNamed("debezium").environment;
  const written = Array.from({ length: Number(SHARDS) }, (_, shard) => `${STREAM_PREFIX}${shard}`);
  expect(expandList(serviceNamed("sluice").environment["SLUICE_STREAMS"] ?? "")).toEqual(written);
});

test("the primary decodes logically; Redis appends and never evicts, as it does in tests and benchmarks", () => {
  expect(serviceNamed("primary").command).toContain("wal_level=logical");
  expect(redisSettings).toMatchObject({ appendonly: "yes", "maxmemory-policy": "noeviction" });
  expect(serviceNamed("redis").command).toEqual(["redis-server", ...redisArguments(redisSettings)]);
});

test("ports are published on loopback only, each once", () => {
  const published = services.flatMap(([, { ports }]) => ports);
  for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  expect(new Set(published.map((port) => port.split(":")[1])).size).toBe(published.length);
});

test("the image listens where the default says, and compose publishes that port", () => {
  const stage = lastStage(dockerfiles.Dockerfile);
  expect(defaultPort).toBeTypeOf("number");
  expect(instructions(stage, "EXPOSE")).toEqual([String(defaultPort)]);
  expect(stage).toContain(`SLUICE_HTTP_ADDRESS=0.0.0.0:${defaultPort}\n`);
  expect(serviceNamed("sluice").ports).toEqual([`127.0.0.1:${defaultPort}:${defaultPort}`]);
});

test("sluice is given more time to stop than a drain may take", () => {
  const { environment, stop_grace_period: grace } = serviceNamed("sluice");
  const deadline = environment["SLUICE_DRAIN_DEADLINE"] ?? options.drainDeadlineMs.default;
  expect(parseDuration(grace ?? "")).toBeGreaterThan(parseDuration(deadline) ?? Infinity);
});

test("whoever is waited for as healthy has a health check", () => {
  const awaited = services.flatMap(([, { depends_on: dependencies }]) => Object.entries(dependencies));
  for (const [name, { condition }] of awaited) {
    const { build, healthcheck } = serviceNamed(name);
    const own = healthcheck?.test !== undefined;
    const ofImage = typeof build === "object" && build.target === undefined && healthcheck === undefined;
    if (condition === "service_healthy") expect(own || ofImage, name).toBe(true);
    else expect(condition).toBe("service_completed_successfully");
  }
  expect(serviceNamed("sluice").depends_on["migrate"]?.condition).toBe("service_completed_successfully");
});

test("only the demo profile depends on the demo", () => {
  for (const [name, { profiles, depends_on: dependencies }] of services) {
    for (const dependency of Object.keys(dependencies)) {
      if (serviceNamed(dependency).profiles.length > 0) expect(profiles, name).toEqual(["demo"]);
    }
  }
});

test("volumes are declared, and mounted files are there", () => {
  for (const volume of services.flatMap(([, { volumes }]) => volumes)) {
    const source = volume.split(":")[0] ?? "";
    if (source.startsWith("./")) expect(existsSync(new URL(source, root)), source).toBe(true);
    else expect(compose.volumes).toHaveProperty(source);
  }
});

test("every build context and target is there", () => {
  const stages = instructions(dockerfiles.Dockerfile, "FROM").map((line) => line.split(" ")[2]);
  for (const [, { image, build }] of services) {
    if (build === undefined) expect(image).toBeDefined();
    else if (typeof build === "string") expect(existsSync(new URL(`${build}/Dockerfile`, root))).toBe(true);
    else if (build.target !== undefined) expect(stages).toContain(build.target);
  }
});

test("every variable without a default is in .env.example, and nothing else is", () => {
  const used = [...composeText.matchAll(/(?<!\$)\$\{(\w+)(?::?\?[^}]*)?\}/g)].map(([, name]) => name);
  const example = [...read(".env.example").matchAll(/^(\w+)=(.+)$/gm)];
  expect(new Set(example.map(([, name]) => name))).toEqual(new Set(used));
  // They become part of URLs as they are.
  for (const [, , value] of example) expect(value).toMatch(/^[\w-]+$/);
});

test("the demo's load says how to call it when it has no primary", () => {
  const script = fileURLToPath(new URL("../../demo/load-only.ts", import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [script, "load"], {
    env: { ...process.env, PRIMARY_URL: "" },
    encoding: "utf8",
  });
  expect(status).toBe(2);
  expect(stderr).toContain("PRIMARY_URL");
});

test("docker-compose accepts the file", async () => {
  const args = ["--env-file", ".env.example", "--profile", "demo", "config", "-q"];
  await promisify(execFile)(await ensureDockerCompose(), args, { cwd: fileURLToPath(root) });
}, 300_000);
