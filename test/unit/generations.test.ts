import { describe, expect, it } from "vitest";
import { newStreams, type KnownStream } from "../../src/sink/generations.ts";

const first: KnownStream[] = [
  { stream: "cdc.0", generation: 1, used: true },
  { stream: "cdc.1", generation: 1, used: false },
];
const second: KnownStream[] = [...first, { stream: "cdc.g2.0", generation: 2, used: true }];

describe("newStreams", () => {
  it("makes the first streams generation 1", () => {
    expect(newStreams([], ["cdc.0", "cdc.1"])).toEqual({ generation: 1, streams: ["cdc.0", "cdc.1"] });
  });

  it("adds nothing when the streams are known", () => {
    expect(newStreams(first, ["cdc.0", "cdc.1"]).streams).toEqual([]);
    expect(newStreams(second, ["cdc.g2.0"]).streams).toEqual([]);
  });

  it("makes other names the next generation", () => {
    expect(newStreams(first, ["cdc.g2.0", "cdc.g2.1"])).toEqual({
      generation: 2,
      streams: ["cdc.g2.0", "cdc.g2.1"],
    });
    expect(newStreams(second, ["cdc.g3.0"]).generation).toBe(3);
  });

  it("lets a member with the former setting go on while the others are restarted", () => {
    expect(newStreams(second, ["cdc.0", "cdc.1"]).streams).toEqual([]);
  });

  it("refuses known names beside new ones: entries of two routings would meet in one stream", () => {
    expect(() => newStreams(first, ["cdc.0", "cdc.1", "cdc.2"])).toThrow(
      expect.objectContaining({ code: "STREAMS_MIXED" }),
    );
    expect(() => newStreams(second, ["cdc.1", "cdc.g2.0"])).toThrow(
      expect.objectContaining({ code: "STREAMS_MIXED" }),
    );
  });

  it("lets the names be corrected as long as nothing came through", () => {
    const unused = first.map((each) => ({ ...each, used: false }));
    expect(newStreams(unused, ["cdc.0", "cdc.1", "cdc.2"])).toEqual({ generation: 1, streams: ["cdc.2"] });
  });
});
