#!/usr/bin/env node
import { runProgram } from "./cli/program.ts";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `warning: Node ${process.versions.node} is older than 22.18, which sluice is made for\n`,
  );
}

// A reader that has seen enough, such as `head`, closes the pipe; that is no failure of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

const code = await runProgram(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  env: process.env,
});
// A pipe takes its text later than the call returns; an exit before that would cut it off.
await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
process.exit(code);
