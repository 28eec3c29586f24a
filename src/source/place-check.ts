import { compareEntryIds } from "../change/entry-id.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { command, commandHead, plainBulk } from "./reply-channel.ts";
import type { ReplyCursor } from "./reply-scanner.ts";

/** Larger entries are not sent a second time to see whether they are still there. */
const smallBytes = 16_384;

/** Counts the entries of one id without sending any; they may be of any size. */
const countScript = "return #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])";

/** Where a reader stands. */
export interface ReadPlace {
  readonly id: string;
  /** Entries of the stream at or before it, removed ones included. */
  readonly entries: bigint;
  /** Of the entry; undefined: not known. */
  readonly bytes: number | undefined;
}

export interface PlaceQuestion {
  readonly command: string;
  /** Its reply is a count, else entries. */
  readonly scripted: boolean;
}

/**
 * Asks, behind each read, for the entry after which the read began. Trimming takes the oldest entries first, so that nothing after an
 * entry that is there was trimmed; when it has gone, the stream's counts must tell whether others went with it (I8), before any
 * of what was read behind them is applied.
 */
export class PlaceCheck {
  private readonly stream: string;
  private readonly range: string;
  private mayScript = true;

  constructor(stream: string) {
    this.stream = stream;
    this.range = commandHead(4, "XRANGE", stream);
  }

  /** To be sent behind the read; `isThere` reads its reply. */
  question({ id, bytes }: ReadPlace): PlaceQuestion {
    const isSmall = bytes !== undefined && bytes <= smallBytes;
    if (isSmall || !this.mayScript) return this.entry(id);
    return { command: command("EVAL_RO", countScript, 1, this.stream, id), scripted: true };
  }

  /** For those who may not run scripts: `isThere` has answered undefined. */
  entry(id: string): PlaceQuestion {
    const place = plainBulk(id);
    return { command: this.range + place + place, scripted: false };
  }

  /** Undefined: Redis does not let us run scripts; from then on the entries themselves are asked for. */
  isThere(replies: ReplyCursor, { scripted }: PlaceQuestion): boolean | undefined {
    const refusal = replies.error();
    if (refusal === undefined) return scripted ? replies.integer() > 0 : replies.array() > 0;
    if (!scripted) throw new SluiceError("REDIS_REPLY", `Redis answered: ${refusal}`);
    this.mayScript = false;
    return undefined;
  }

  counts(): string {
    return command("XINFO", "STREAM", this.stream);
  }

  /**
   * With the reply of `counts`, where the place's entry has gone and `next` entries were read after it. Throws when others went too, or the
   * stream was made anew: the shard then begins again at its checkpoint, where it is seen what was lost.
   */
  requireNoGap(info: ReplyCursor, { id, entries }: ReadPlace, next: number): void {
    const { added, length, firstId } = streamCounts(info);
    const isTrimmed = firstId === undefined || compareEntryIds(firstId, id) > 0;
    const lost = isTrimmed && added - length > entries;
    if (!lost && added >= entries + BigInt(next)) return;
    throw new SluiceError(
      "REDIS_REPLY",
      `the stream lost entries after ${id}, or was made anew; looking again from the checkpoint`,
    );
  }
}

/** From the reply of XINFO STREAM. */
function streamCounts(info: ReplyCursor): {
  readonly added: bigint;
  readonly length: bigint;
  readonly firstId: string | undefined;
} {
  const refusal = info.error();
  if (refusal !== undefined) throw new SluiceError("REDIS_REPLY", `Redis answered: ${refusal}`);
  const counts = new Map<string, bigint>();
  let firstId: string | undefined;
  for (let left = info.array(); left > 0; left -= 2) {
    const name = info.text() ?? "";
    if (name === "length" || name === "entries-added") counts.set(name, BigInt(info.integer()));
    else if (name !== "first-entry") info.skipNested();
    else if (info.array() > 0) {
      firstId = info.text();
      info.skipNested();
    }
  }
  return { added: counts.get("entries-added") ?? 0n, length: counts.get("length") ?? 0n, firstId };
}
