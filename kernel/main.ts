/**
 * The loops that see every byte of an entry, sixteen at a time where they can. AssemblyScript, compiled by `npm run kernel` into
 * `src/decode/kernel/code.ts`.
 *
 * Each function answers 0 for what it does not know, and its caller then looks for itself. None reads more than sixteen bytes
 * beyond `limit`, and none beyond what a program says it has.
 */
export { passTexts, standsAround } from "./patterns";
export { readEnvelopes } from "./envelope";
export { copyValues, writtenEnd } from "./copy-text";
export { binaryRow } from "./copy-binary";
export { missingElements, placeEntries, scannedElements, scanReply } from "./reply";
