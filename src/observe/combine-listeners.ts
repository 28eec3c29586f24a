import type { ProgressListener } from "./progress.ts";

/** One listener that tells several, in order. */
export function combineListeners(...listeners: readonly ProgressListener[]): ProgressListener {
  return {
    entriesRead: (...told) => listeners.forEach((listener) => listener.entriesRead(...told)),
    changesDecoded: (...told) => listeners.forEach((listener) => listener.changesDecoded(...told)),
    batchApplied: (...told) => listeners.forEach((listener) => listener.batchApplied(...told)),
    entriesSettled: (...told) => listeners.forEach((listener) => listener.entriesSettled(...told)),
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
