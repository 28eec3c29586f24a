import { createServer } from "node:net";

/** The kernel may offer a closed port again before its program has opened it. */
const given = new Set<number>();

/** A TCP port on 127.0.0.1 that nobody listens on, and that this process has not handed out before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await portFromKernel();
    if (given.has(port)) continue;
    given.add(port);
    return port;
  }
}

function portFromKernel(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const address = server.address();
      const port = address !== null && typeof address === "object" ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
