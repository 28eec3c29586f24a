import type { Config } from "../config/config.ts";
import { parseAddress } from "../config/values.ts";
import type { ConsoleIo } from "./console-io.ts";
import { exitCode } from "./exit-code.ts";

/** Asks the member on this machine whether it is ready; for container images that have no shell or curl. */
export async function healthcheck(config: Pick<Config, "httpAddress">, io: ConsoleIo): Promise<number> {
  try {
    const response = await fetch(`http://${localAddress(config.httpAddress)}/readyz`, {
      signal: AbortSignal.timeout(3_000),
    });
    io.out(await response.text());
    return response.ok ? exitCode.done : exitCode.failure;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    io.err(
      `no answer from ${config.httpAddress}: ${cause instanceof Error ? cause.message : String(cause)}\n`,
    );
    return exitCode.failure;
  }
}

/** A server bound to every interface is asked over loopback. */
function localAddress(address: string): string {
  const { host, port } = parseAddress(address) ?? { host: "127.0.0.1", port: 0 };
  if (host === "0.0.0.0") return `127.0.0.1:${port}`;
  if (host === "::") return `[::1]:${port}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
