import type { ProgressListener } from "./progress.ts";

/** One listener that tells several, in order. */
export function combineListeners(...listeners: readonly ProgressListener[]): ProgressListener {
  return {
    // These are called with every read and batch.
    entriesRead: (stream, entries, bytes) => {
      for (const each of listeners) each.entriesRead(stream, entries, bytes);
    },
    changesDecoded: (tables) => {
      for (const each of listeners) each.changesDecoded(tables);
    },
    batchApplied: (batch) => {
      for (const each of listeners) each.batchApplied(batch);
    },
    entriesSettled: (stream, entries, bytes) => {
      for (const each of listeners) each.entriesSettled(stream, entries, bytes);
    },
    rewound: (...told) => listeners.forEach((listener) => listener.rewound(...told)),
    shardState: (...told) => listeners.forEach((listener) => listener.shardState(...told)),
    retried: (...told) => listeners.forEach((listener) => listener.retried(...told)),
    standingBy: (...told) => listeners.forEach((listener) => listener.standingBy(...told)),
    entriesTrimmed: (...told) => listeners.forEach((listener) => listener.entriesTrimmed(...told)),
    consumersRemoved: (...told) => listeners.forEach((listener) => listener.consumersRemoved(...told)),
    shardRetired: (...told) => listeners.forEach((listener) => listener.shardRetired(...told)),
    tombstonesPruned: (...told) => listeners.forEach((listener) => listener.tombstonesPruned(...told)),
    warningBegan: (...told) => listeners.forEach((listener) => listener.warningBegan(...told)),
    warningEnded: (...told) => listeners.forEach((listener) => listener.warningEnded(...told)),
  };
}
