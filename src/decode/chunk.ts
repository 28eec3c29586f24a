import type { DecodedChunk } from "./decode-chunk.ts";
import type { Entries } from "./entries.ts";

/**
 * The entries of one read, decoded once somebody asks for what they say. Until then they are no more than bytes: objects that wait
 * would be copied by the collector again and again.
 */
export class Chunk {
  readonly entries: Entries;
  private readonly decode: () => DecodedChunk;
  private result: DecodedChunk | undefined;

  constructor(entries: Entries, decode: () => DecodedChunk) {
    this.entries = entries;
    this.decode = decode;
  }

  get isDecoded(): boolean {
    return this.result !== undefined;
  }

  get decoded(): DecodedChunk {
    return (this.result ??= this.decode());
  }
}
