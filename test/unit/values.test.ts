import { expect, test } from "vitest";
import { durationText, parseAddress, parseDuration, parseSize } from "../../src/config/values.ts";

test.each([
  ["250ms", 250],
  ["10s", 10_000],
  ["1.5s", 1_500],
  ["2m", 120_000],
  ["1h", 3_600_000],
  ["0s", 0],
  ["10", undefined],
  ["-1s", undefined],
  ["1 h", undefined],
])("duration %s is %s ms", (text, expected) => {
  expect(parseDuration(text)).toBe(expected);
});

test.each([
  ["16MiB", 16 * 1024 * 1024],
  ["8KB", 8_000],
  ["512", 512],
  ["1.5GiB", 1.5 * 1024 ** 3],
  ["16mib", undefined],
  ["", undefined],
])("size %s is %s bytes", (text, expected) => {
  expect(parseSize(text)).toBe(expected);
});

test.each([
  ["127.0.0.1:9470", { host: "127.0.0.1", port: 9470 }],
  ["[::1]:0", { host: "::1", port: 0 }],
  [":9470", { host: "0.0.0.0", port: 9470 }],
  ["localhost", undefined],
  ["localhost:70000", undefined],
  ["::1:80", undefined],
])("address %s is read", (text, expected) => {
  expect(parseAddress(text)).toEqual(expected);
});

test.each([
  [0, "0ms"],
  [250, "250ms"],
  [1_500, "1500ms"],
  [10_000, "10s"],
  [90_000, "90s"],
  [3_600_000, "1h"],
  [172_800_000, "2d"],
])("%s ms are written %s and read back", (milliseconds, text) => {
  expect(durationText(milliseconds)).toBe(text);
  expect(parseDuration(text)).toBe(milliseconds);
});
