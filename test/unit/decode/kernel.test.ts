import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { copyValues, valuesProgram } from "../../../src/decode/kernel/copy.ts";
import { addressOf, takePlace, textPlace } from "../../../src/decode/kernel/memory.ts";
import { aroundProgram, passTexts, standsAround, textsProgram } from "../../../src/decode/kernel/patterns.ts";
import { BufferPool } from "../../../src/source/buffer-pool.ts";

function placed(text: string): { readonly bytes: Buffer; readonly address: number } {
  const bytes = takePlace() ?? expect.fail("no place");
  bytes.write(text);
  return { bytes, address: addressOf(bytes) };
}

describe("the kernel", () => {
  it("runs here, and passes over usual JSON by itself", () => {
    const json = `{"id":12,"note":"${'long \\" text'.repeat(3)}","list":[1,"]"],"last":null}`;
    const { bytes, address } = placed(`${json},"source"`);
    const program = textsProgram(
      ['{"id":', ',"note":', ',"list":', ',"last":', "}"].map((text) => Buffer.from(text)),
    );
    expect(passTexts(address, bytes, 0, program ?? expect.fail())).toBe(Buffer.byteLength(json));
    expect(textPlace()).toBeDefined();
  });

  it("passes over nothing that does not end in the bytes", () => {
    const { bytes, address } = placed("");
    const program = textsProgram([Buffer.from("{"), Buffer.from("}")]) ?? expect.fail();
    for (const value of ['"x', '"x\\', '["x"', "12", '"x"']) {
      const end = bytes.length - value.length - 1;
      bytes.write(`{${value}`, end);
      expect(passTexts(address, bytes, end, program)).toBe(-1);
    }
  });

  it("copies nothing that does not end before the limit", () => {
    const { address } = placed('{"a":"xyz","b":123,"c":');
    const text = textPlace() ?? expect.fail();
    const program = valuesProgram(
      ["a", "b"].map(() => ({ gap: 5, form: { form: 0, argument: 0 } as const })),
    );
    const copied = (limit: number): number =>
      copyValues(address, 0, limit, program ?? expect.fail(), addressOf(text));
    expect(copied(19)).toBe(18);
    for (const limit of [3, 6, 9, 12, 15, 16, 18]) expect(copied(limit)).toBe(-1);
  });

  it("forgets its programs when there is no more room, and takes each in again", () => {
    const { address } = placed("a1b");
    const small = aroundProgram(Buffer.from("a0b"), [{ start: 1, end: 2 }]) ?? expect.fail();
    expect(standsAround(address, 0, small)).toBe(true);
    for (let round = 0; round < 20; round++) {
      const large = aroundProgram(Buffer.alloc(400_000, "x"), []) ?? expect.fail();
      expect(standsAround(address, 0, large)).toBe(false);
      expect(standsAround(address, 0, small)).toBe(true);
    }
    expect(aroundProgram(Buffer.alloc(600_000), [])).toBeUndefined();
  });

  it("has a place for each shard of a member that has many, again and again", () => {
    const pool = new BufferPool(8);
    for (const round of [1, 2, 3]) {
      const held = Array.from({ length: 64 }, () => pool.take(round));
      expect(held.filter((buffer) => addressOf(buffer) < 0)).toEqual([]);
      expect(new Set(held.map(addressOf)).size).toBe(64);
      for (const buffer of held) pool.giveBack(buffer);
    }
  });

  it("gives the place of a buffer that nobody holds to somebody else, and other memory while there is none", async () => {
    const held: Buffer[] = [];
    for (let place = takePlace(); place !== undefined; place = takePlace()) held.push(place);
    expect(held.length).toBeGreaterThan(0);
    expect(new Set(held.map(addressOf)).size).toBe(held.length);
    const other = new BufferPool(1).take(100);
    expect(addressOf(other)).toBe(-1);
    held.length = 0;
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    await expect
      .poll(() => {
        collect();
        return takePlace();
      })
      .toBeDefined();
  });
});
