import { readFileSync, writeFileSync } from "node:fs";
import asc from "assemblyscript/asc";

/** Compiles `kernel/main.ts` into `src/decode/kernel/code.ts`; with `--check` only says whether that is what is there. */
const target = "src/decode/kernel/code.ts";
const flags = ["kernel/main.ts", "--enable", "simd", "-O3", "--noAssert", "--runtime", "stub"];
const memory = ["--importMemory", "--initialMemory", "1", "--outFile", "kernel.wasm"];

let code: Uint8Array | undefined;
const { error, stderr } = await asc.main([...flags, ...memory], {
  writeFile: (_name, contents) => {
    if (typeof contents !== "string") code = contents;
  },
});
if (error !== null || code === undefined) throw new Error(`kernel/main.ts: ${stderr.toString()}`);
const text = `/** Made of \`kernel/main.ts\` by \`npm run kernel\`: WebAssembly, as base64. */
export const kernelCode =
  "${Buffer.from(code).toString("base64")}";
`;
if (!process.argv.includes("--check")) writeFileSync(target, text);
else if (readFileSync(target, "utf8") !== text)
  throw new Error(`${target} is not what kernel/main.ts makes: npm run kernel`);
