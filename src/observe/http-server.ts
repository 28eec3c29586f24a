import { createServer, type Server, type ServerResponse } from "node:http";
import { parseAddress } from "../config/values.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { PipelineHealth } from "../pipeline/pipeline.ts";
import type { StatusReport } from "../pipeline/status.ts";

export interface HttpSources {
  health(): PipelineHealth;
  status(): Promise<StatusReport>;
  /** Prometheus's text format. */
  metrics(): Promise<string>;
}

export interface HttpServer {
  /** `host:port` as bound; the port that was chosen where 0 was asked for. */
  readonly address: string;
  close(): Promise<void>;
}

/** A supervisor that has not turned for this long is wedged, in milliseconds. Waiting and backing off do turn it. */
const wedgedAfterMs = 30_000;

interface Answer {
  readonly code: number;
  readonly type: "application/json" | "text/plain; version=0.0.4; charset=utf-8";
  readonly body: string;
}

/** Binds and serves; an address that cannot be bound is a mistake in the configuration. */
export async function startHttpServer(address: string, sources: HttpSources): Promise<HttpServer> {
  const parsed = parseAddress(address);
  if (parsed === undefined) throw cannotBind(address, "it is not host:port");
  const answer = routes(sources);
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    const url = URL.parse(request.url ?? "/", "http://localhost");
    const readOnly = request.method === "GET" || request.method === "HEAD";
    const answered = readOnly
      ? answer(url?.pathname ?? "/", url?.searchParams.has("verbose") === true)
      : Promise.resolve(json(405, { error: "only GET is served" }));
    void answered.catch(failed).then((reply) => send(response, reply, request.method === "HEAD"));
  });
  await listen(server, parsed.host, parsed.port, address);
  return { address: boundAddress(server, parsed.host), close: () => close(server) };
}

function routes(sources: HttpSources): (path: string, verbose: boolean) => Promise<Answer> {
  let started = false;
  const readiness = (verbose: boolean): Answer => {
    const checks = readinessChecks(sources.health());
    const answer = fromChecks(checks, verbose);
    started ||= answer.code === 200;
    return answer;
  };
  return async (path, verbose) => {
    switch (path) {
      case "/livez":
      case "/healthz":
        return fromChecks(livenessChecks(sources.health()), verbose);
      case "/readyz":
        return readiness(verbose);
      case "/startupz":
        return started ? json(200, { ok: true }) : readiness(verbose);
      case "/status":
        return json(200, await sources.status());
      case "/metrics":
        return { code: 200, type: "text/plain; version=0.0.4; charset=utf-8", body: await sources.metrics() };
      default:
        return json(404, { error: "not found", routes: paths });
    }
  };
}

const paths = ["/livez", "/readyz", "/startupz", "/healthz", "/status", "/metrics"];

interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** Why not, when it is not. */
  readonly reason: string;
}

function livenessChecks(health: PipelineHealth): readonly Check[] {
  const seconds = Math.round(health.tickAgeMs / 1000);
  return [
    {
      name: "loop",
      ok: health.tickAgeMs <= wedgedAfterMs,
      reason: `the supervisor has not turned for ${seconds} s`,
    },
  ];
}

function readinessChecks(health: PipelineHealth): readonly Check[] {
  return [
    { name: "draining", ok: !health.draining, reason: "draining" },
    { name: "redis", ok: health.redisReachable, reason: "Redis is not reachable" },
    { name: "database", ok: health.databaseReachable, reason: "the read database is not reachable" },
    { name: "registered", ok: health.registered, reason: "the member is not registered yet" },
  ];
}

function fromChecks(checks: readonly Check[], verbose: boolean): Answer {
  const failures = checks.filter((check) => !check.ok);
  const named = Object.fromEntries(checks.map((check) => [check.name, check.ok ? "ok" : check.reason]));
  return json(failures.length === 0 ? 200 : 503, {
    ok: failures.length === 0,
    ...(failures.length === 0 ? {} : { reason: failures.map((check) => check.reason).join("; ") }),
    ...(verbose ? { checks: named } : {}),
  });
}

function failed(error: unknown): Answer {
  if (error instanceof SluiceError) {
    return json(503, { error: { code: error.code, message: error.message, remedy: error.remedy } });
  }
  return json(500, { error: { code: "INTERNAL", message: "the request failed" } });
}

function json(code: number, value: unknown): Answer {
  return { code, type: "application/json", body: `${JSON.stringify(value)}\n` };
}

function send(response: ServerResponse, answer: Answer, headOnly: boolean): void {
  response.writeHead(answer.code, {
    "content-type": answer.type,
    "content-length": Buffer.byteLength(answer.body),
    "cache-control": "no-store",
  });
  response.end(headOnly ? undefined : answer.body);
}

function listen(server: Server, host: string, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(cannotBind(address, error.message, error)));
    server.listen(port, host, () => {
      server.removeAllListeners("error");
      server.on("error", () => undefined);
      resolve();
    });
  });
}

function cannotBind(address: string, reason: string, cause?: unknown): SluiceError {
  return new SluiceError("CONFIG_INVALID", `cannot serve HTTP on ${address}: ${reason}`, {
    place: { option: "httpAddress" },
    remedy: "Free the address, or set SLUICE_HTTP_ADDRESS to another.",
    cause,
  });
}

function boundAddress(server: Server, host: string): string {
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
