import { createServer } from "node:net";
import pg from "pg";
import { expect, test } from "vitest";
import { classify } from "../../../src/sink/classify.ts";

function withCode(code: string, error = new Error("")): Error {
  return Object.assign(error, { code });
}

test.each<[string, unknown]>([
  ...["ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EPIPE", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH"].map(
    (code): [string, Error] => [code, withCode(code)],
  ),
  ["several addresses", withCode("ECONNREFUSED", new AggregateError([withCode("ECONNREFUSED")]))],
  ["a certificate", withCode("CERT_HAS_EXPIRED")],
  ["TLS", withCode("ERR_TLS_CERT_ALTNAME_INVALID")],
  ["a stream that is gone", withCode("ERR_STREAM_DESTROYED")],
  ["the end of the connection", new Error("Connection terminated unexpectedly")],
  ["a pool without a free connection", new Error("timeout exceeded when trying to connect")],
  ["a server that does not answer a query", new Error("Query read timeout")],
  ["a client that is broken", new Error("Client has encountered a connection error and is not queryable")],
  [
    "what is caused by it",
    new Error("Connection terminated due to connection timeout", { cause: new Error("") }),
  ],
  ["a server that shuts down", withCode("57P01")],
])("%s is an outage of the read database, which is waited for", (_, error) => {
  expect(classify(error)).toMatchObject({ reaction: "retry", error: { code: "DATABASE_UNAVAILABLE" } });
});

test.each<[string, unknown]>([
  ["RangeError", new RangeError("no column -1")],
  ["TypeError", new TypeError("Cannot read properties of undefined (reading 'length')")],
  ["TypeError of Node's", withCode("ERR_INVALID_ARG_TYPE", new TypeError("The argument"))],
  ["an error without a code", new Error("unexpected condition")],
  ["what is no error", "text"],
])("%s is a mistake of the program, which stops the shard", (_, error) => {
  expect(classify(error)).toMatchObject({ reaction: "isolate", error: { code: "INTERNAL", policy: "stop" } });
});

test("what the driver says when nobody listens, and when nobody answers, is an outage", async () => {
  const server = createServer((socket) => void socket.on("error", () => undefined).resume()).listen(
    0,
    "127.0.0.1",
  );
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  const connect = async (): Promise<unknown> => {
    const pool = new pg.Pool({ host: "127.0.0.1", port, user: "nobody", connectionTimeoutMillis: 50 });
    return await pool.connect().catch((error: unknown) => error);
  };
  const silent = await connect();
  await new Promise((resolve) => server.close(resolve));
  const refused = await connect();
  for (const error of [silent, refused])
    expect(classify(error)).toMatchObject({ reaction: "retry", error: { code: "DATABASE_UNAVAILABLE" } });
});
