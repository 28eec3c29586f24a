import { hostname } from "node:os";
import { expect, test } from "vitest";
import { userName } from "../../src/cli/user-name.ts";

test("a decision is recorded for the user and the machine", () => {
  expect(userName(() => ({ username: "ada" }))).toBe(`ada@${hostname()}`);
});

test("a user that the machine has no name for, as in the container image, is known by the machine", () => {
  const nameless = (): never => {
    throw new Error("uv_os_get_passwd returned ENOENT");
  };
  expect(userName(nameless)).toBe(hostname());
});
