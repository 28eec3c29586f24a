import { Chunk } from "../decode/chunk.ts";
import type { DecodedChunk, Decoder } from "../decode/decode-chunk.ts";
import type { Entries } from "../decode/entries.ts";
import type { ProgressListener } from "../observe/progress.ts";
import type { Applier } from "../sink/applier.ts";
import type { ShardReader } from "../source/shard-reader.ts";

export interface ShardLoop {
  readonly stream: string;
  readonly reader: Pick<ShardReader, "read" | "settle">;
  readonly decoder: Decoder;
  readonly applier: Pick<Applier, "apply">;
  readonly progress: ProgressListener;
  /** Called when a wait has found nothing. */
  readonly idle: () => void;
  /** Aborted when the shard is to be let go after the batch at hand. */
  readonly stopping: AbortSignal;
}

/** What follows a smaller chunk is read after it: more has come by then, so that there are fewer reads and transactions. */
const worthReadingAhead = 128;

/**
 * Read → decode → apply → settle, for one shard that this member owns, from where its reader stands until it is to stop or
 * something fails. While a chunk of some size is applied the next is read, so that Redis, this process and PostgreSQL work
 * at the same time; chunks are applied strictly one after the other (I5), and settled only after their commit (I1).
 */
export async function runShardLoop(loop: ShardLoop): Promise<void> {
  const { reader, applier, stopping } = loop;
  let entries: Entries | undefined;
  while (!stopping.aborted) {
    if (entries === undefined || entries.length === 0) {
      entries = await read(loop, { wait: true });
      continue;
    }
    const current = entries;
    const begun = Promise.withResolvers<void>();
    const applying = applier.apply(new Chunk(current, () => decode(loop, current)), begun.resolve);
    const ahead = current.length < worthReadingAhead ? undefined : readAhead(loop, begun, applying);
    await applying;
    reader.settle(current);
    loop.progress.entriesSettled(loop.stream, current.length, current.bytesOf());
    entries = await ahead;
  }
}

/** Only shards whose turn has come read ahead: with many shards most chunks wait for it (I9). */
function readAhead(
  loop: ShardLoop,
  begun: PromiseWithResolvers<void>,
  applying: Promise<void>,
): Promise<Entries> {
  const ahead = Promise.race([begun.promise, applying]).then(() => read(loop, { wait: false }));
  // What was read ahead is of no use when the chunk before it failed; its own failure waits its turn.
  ahead.catch(() => undefined);
  return ahead;
}

async function read(loop: ShardLoop, options: { readonly wait: boolean }): Promise<Entries> {
  const entries = await loop.reader.read(options);
  if (entries.length > 0) loop.progress.entriesRead(loop.stream, entries.length, entries.bytesOf());
  else if (options.wait) loop.idle();
  return entries;
}

function decode({ decoder, progress }: ShardLoop, entries: Entries): DecodedChunk {
  const chunk = decoder.decode(entries);
  if (chunk.changes.length > 0) progress.changesDecoded(chunk.tables);
  return chunk;
}
