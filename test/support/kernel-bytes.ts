import { CopyData } from "../../src/decode/copy-data.ts";
import { takePlace, textPlace } from "../../src/decode/kernel/memory.ts";

let place: Buffer | undefined;

/** Where what is scanned may lie: in memory of any kind, which the kernel cannot see, or in the kernel's own. */
export const whereabouts: readonly (readonly [
  where: string,
  put: (bytes: Buffer) => Buffer,
  /** An empty text there. */
  text: () => CopyData,
])[] = [
  ["in other memory", (bytes) => bytes, () => new CopyData()],
  ["in the kernel's memory", putInKernel, () => new CopyData(textPlace())],
];

/** The kernel's bytes, beginning with these; what stood there before follows. Good until the next are put there. */
function putInKernel(bytes: Buffer): Buffer {
  place ??= takePlace();
  if (place === undefined) throw new Error("the kernel does not run here, or has no place left");
  bytes.copy(place);
  return place;
}
