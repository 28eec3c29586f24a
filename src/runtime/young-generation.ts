import v8 from "node:v8";

const garbageOfRound = 20_000;
/** Far more than it takes; a V8 that grows otherwise only costs these milliseconds. */
const mostRounds = 100;

/**
 * Keeps V8 from growing its young generation beyond about `size` bytes, and returns how large it is. By default it grows to a
 * hundred mebibytes and more on a large machine, which a sink fills with the garbage of its batches before it collects any: a third of
 * its memory, for no more speed. The limit is a command line flag only, but how fast it grows can be set while running: so it is let
 * grow to the size, and then no more.
 */
export function limitYoungGeneration(size: number): number {
  for (let round = 0; round < mostRounds && youngGeneration() < size; round++) {
    // Some of it survives a collection, which makes V8 grow the space.
    Array.from({ length: garbageOfRound }, (_, index) => [index]);
  }
  v8.setFlagsFromString("--semi-space-growth-factor=1");
  return youngGeneration();
}

function youngGeneration(): number {
  return v8.getHeapSpaceStatistics().find((each) => each.space_name === "new_space")?.space_size ?? 0;
}
