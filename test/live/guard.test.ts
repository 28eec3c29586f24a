import { expect, it } from "vitest";
import { entryFields } from "../support/entries.ts";
import { createScene, type Scene } from "../support/scene.ts";

interface Step {
  readonly op: "c" | "u" | "d" | "r";
  readonly id: number;
  readonly number: number;
  readonly position: number;
}

/** In the order of the stream. */
async function appendSteps(scene: Scene, steps: readonly Step[]): Promise<string> {
  const { stream, redis } = scene;
  let last: string | null = null;
  for (const { op, id, number, position } of steps) {
    const key = { shard: stream, id };
    const after = op === "d" ? {} : { after: { ...key, number } };
    last = await redis.xadd(stream, "*", ...entryFields({ op, table: "item", key, position, ...after }));
  }
  return last ?? "";
}

async function numbers(scene: Scene): Promise<Record<number, number>> {
  const rows = await scene.db.query<{ id: number; number: number }>(
    "SELECT id, number FROM item ORDER BY id",
  );
  return Object.fromEntries(rows.map((row) => [row.id, row.number]));
}

async function applied(scene: Scene, lastId: string): Promise<void> {
  await expect
    .poll(() => scene.shard(), { timeout: 20_000, interval: 20 })
    .toMatchObject({ checkpoint: lastId });
}

const c = (position: number, number: number): Omit<Step, "id"> => ({ op: "c", number, position });
const u = (position: number, number: number): Omit<Step, "id"> => ({ op: "u", number, position });
const r = (position: number, number: number): Omit<Step, "id"> => ({ op: "r", number, position });
const d = (position: number): Omit<Step, "id"> => ({ op: "d", number: 0, position });

const cases: readonly [what: string, steps: readonly Omit<Step, "id">[], result: number | undefined][] = [
  ["an older update after a newer", [c(1, 10), u(3, 30), u(2, 20)], 30],
  ["an update twice, a newer between", [c(1, 10), u(2, 20), u(3, 30), u(2, 20)], 30],
  ["an insert twice, an update between", [c(1, 10), u(2, 20), c(1, 10)], 20],
  ["an insert twice, a delete between", [c(1, 10), d(2), c(1, 10)], undefined],
  ["an older update after a delete", [c(1, 10), d(3), u(2, 20)], undefined],
  ["an older delete after an update", [c(1, 10), u(3, 30), d(2)], 30],
  ["a delete before its insert", [d(2), c(1, 10)], undefined],
  ["deleted and inserted anew", [c(1, 10), d(2), c(3, 30)], 30],
  ["the old delete again after a new insert", [c(1, 10), d(2), c(3, 30), d(2)], 30],
  ["the whole life twice", [c(1, 10), u(2, 20), d(3), c(4, 40), c(1, 10), u(2, 20), d(3), c(4, 40)], 40],
  ["a snapshot's read after a newer update", [u(5, 50), r(4, 40)], 50],
  ["a snapshot's read after a newer delete", [d(5), r(4, 40)], undefined],
  ["insert and delete at one position", [d(2), c(2, 20)], 20],
];

it.each([1, 4, 1000])(
  "ends in each key's newest state whatever repeats or comes late, in batches of %i (I4)",
  async (batchEntries) => {
    await using scene = await createScene({ config: { batchEntries } });
    const longest = Math.max(...cases.map(([, steps]) => steps.length));
    // Step by step through all cases, so that larger batches hold changes of many keys.
    const steps = Array.from({ length: longest }, (_, index) =>
      cases.flatMap(([, each], id) => {
        const step = each[index];
        return step === undefined ? [] : [{ ...step, id }];
      }),
    ).flat();
    const lastId = await appendSteps(scene, steps);
    await using member = await scene.startMember();
    await applied(scene, lastId);
    const found = await numbers(scene);
    const result = cases.map(([what], id) => [what, found[id]]);
    expect(result).toEqual(cases.map(([what, , expected]) => [what, expected]));
    expect(member.seen.codes).toEqual([]);
  },
);

/** A small generator of repeatable numbers from 0 to below `below`. */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Lives of some keys, each change at a position of its own, in any order and some of it twice. */
function shuffledLives(seed: number): { readonly steps: Step[]; readonly expected: Record<number, number> } {
  const random = numbersFrom(seed);
  const alive = new Map<number, number>();
  const steps: Step[] = [];
  for (let position = 1; position <= 250; position++) {
    const id = random(12);
    const op = alive.has(id) ? (random(3) === 0 ? "d" : "u") : "c";
    if (op === "d") alive.delete(id);
    else alive.set(id, position);
    steps.push({ op, id, number: position, position });
    if (random(4) === 0) steps.push({ op, id, number: position, position });
  }
  for (let index = steps.length - 1; index > 0; index--) {
    const other = random(index + 1);
    const [left, right] = [steps[index], steps[other]];
    if (left !== undefined && right !== undefined) [steps[index], steps[other]] = [right, left];
  }
  return { steps, expected: Object.fromEntries(alive) };
}

it.each([
  [1, 1],
  [2, 7],
  [3, 50],
  [4, 1000],
])(
  "ends in the newest state of a shuffled history (seed %i) in batches of %i (I4)",
  async (seed, batchEntries) => {
    await using scene = await createScene({ config: { batchEntries } });
    const { steps, expected } = shuffledLives(seed);
    const lastId = await appendSteps(scene, steps);
    await using member = await scene.startMember();
    await applied(scene, lastId);
    expect(await numbers(scene)).toEqual(expected);
    // All once more, from the beginning, as a replay would.
    await applied(scene, await appendSteps(scene, steps));
    expect(await numbers(scene)).toEqual(expected);
    expect(member.seen.codes).toEqual([]);
  },
);
