import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BufferPool } from "../../../src/source/buffer-pool.ts";
import { command } from "../../../src/source/reply-channel.ts";
import { ReplyCursor, ReplyScanner } from "../../../src/source/reply-scanner.ts";

type Reply = { readonly error: string } | { readonly status: string } | number | string | null | Reply[];

/** Any reply, nested arrays and missing ones included. */
const { reply } = fc.letrec<{ reply: Reply }>((tie) => ({
  reply: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    fc.integer(),
    fc.string({ unit: "binary" }),
    fc.constant(null),
    fc.record({ error: fc.constantFrom("ERR no", "NOGROUP No such key") }),
    fc.record({ status: fc.constantFrom("OK", "") }),
    fc.array(tie("reply"), { maxLength: 4 }),
  ),
}));

function encode(value: Reply): string {
  if (value === null) return "$-1\r\n";
  if (typeof value === "number") return `:${value}\r\n`;
  if (typeof value === "string") return `$${Buffer.byteLength(value)}\r\n${value}\r\n`;
  if (Array.isArray(value)) return `*${value.length}\r\n${value.map(encode).join("")}`;
  return "error" in value ? `-${value.error}\r\n` : `+${value.status}\r\n`;
}

/** Reads back what is known to come. */
function readBack(cursor: ReplyCursor, shape: Reply): Reply {
  if (shape === null) return cursor.text() ?? null;
  if (typeof shape === "number") return cursor.integer();
  if (typeof shape === "string") return cursor.text() ?? null;
  if (Array.isArray(shape)) {
    expect(cursor.array()).toBe(shape.length);
    return shape.map((each) => readBack(cursor, each));
  }
  if ("error" in shape) return { error: cursor.error() ?? "" };
  return { status: cursor.text() ?? "" };
}

/** By the scanner's own room, as much at a time as there is of it, or from elsewhere. */
function feed(scanner: ReplyScanner, bytes: Buffer, isDirect: boolean): boolean {
  if (!isDirect) return scanner.push(bytes);
  let isDone = false;
  for (let from = 0; from < bytes.length;) {
    const written = bytes.copy(scanner.room(), 0, from);
    from += written;
    isDone = scanner.filled(written);
  }
  return isDone;
}

const pool = new BufferPool(1);

describe.each([
  ["in other memory", () => Buffer.alloc(0)],
  ["in the kernel's memory", () => pool.take(1)],
])("ReplyScanner %s", (_, memory) => {
  it("gives the same replies however their bytes are cut, and is done with the last byte and not before", () => {
    fc.assert(
      fc.property(
        fc.array(reply, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        fc.boolean(),
        (replies, cuts, isDirect) => {
          const bytes = Buffer.from(replies.map(encode).join(""));
          const place = memory();
          const scanner = new ReplyScanner(replies.length, place);
          const places = [...new Set(cuts.map((cut) => cut % bytes.length))].sort((a, b) => a - b);
          let from = 0;
          for (const to of [...places, bytes.length]) {
            const done = feed(scanner, bytes.subarray(from, to), isDirect);
            expect(done).toBe(to === bytes.length);
            from = to;
          }
          const cursor = new ReplyCursor(scanner);
          expect(replies.map((each) => readBack(cursor, each))).toEqual(replies);
          pool.giveBack(place);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("holds a reply larger than its first buffer", () => {
    const values = ["a", "x".repeat(5_000_000), "end"];
    const scanner = new ReplyScanner(1, memory());
    const bytes = Buffer.from(encode(values));
    for (let at = 0; at < bytes.length; at += 70_000) scanner.push(bytes.subarray(at, at + 70_000));
    const cursor = new ReplyCursor(scanner);
    expect(cursor.array()).toBe(3);
    expect(values.map(() => cursor.text())).toEqual(values);
  });

  it("holds more elements than it had room for", () => {
    const values = Array.from({ length: 60_000 }, (_each, index) => index);
    const scanner = new ReplyScanner(1, memory());
    const bytes = Buffer.from(encode(values));
    for (let at = 0; at < bytes.length; at += 70_000) scanner.push(bytes.subarray(at, at + 70_000));
    const cursor = new ReplyCursor(scanner);
    expect(cursor.array()).toBe(values.length);
    expect(values.map(() => cursor.integer())).toEqual(values);
  });

  it("refuses what is no reply of Redis", () => {
    expect(() => new ReplyScanner(1, memory()).push(Buffer.from("HTTP/1.1 400\r\n"))).toThrow(TypeError);
  });

  it("refuses to read a reply as what it is not", () => {
    const scanner = new ReplyScanner(1, memory());
    scanner.push(Buffer.from(":1\r\n"));
    expect(() => new ReplyCursor(scanner).bulk()).toThrow(TypeError);
  });
});

describe("command", () => {
  it("counts bytes, not characters", () => {
    expect(command("XACK", "cdc.ä", 1)).toBe("*3\r\n$4\r\nXACK\r\n$6\r\ncdc.ä\r\n$1\r\n1\r\n");
  });
});
