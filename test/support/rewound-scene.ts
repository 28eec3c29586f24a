import { expect } from "vitest";
import { accept } from "../../src/cli/accept.ts";
import { createScene, type RunningMember, type Scene } from "./scene.ts";

/** The former primary's log is far on, the restored one's begins anew; their clocks agree. */
export const former = { lsn: 9_000_000, ms: 1_700_000_000_000 };
export const restored = { lsn: 1_000, ms: former.ms + 60_000 };

export type Primary = typeof former;

export interface Step {
  readonly op: "c" | "u" | "d" | "t" | "r";
  readonly id?: number;
  readonly note?: string;
  readonly headers?: readonly string[];
  /** A line of the table `line`, which has no key, instead of a row of `thing`. */
  readonly line?: string;
}

/** Large values that did not change. */
export const unchanged = "__debezium_unavailable_value";

/** `at`: the number of the transaction. Debezium names the commit before it and the change's own place. */
export function fieldsOf(primary: Primary, at: number, step: Step): string[] {
  const { op, id, note, headers = [], line } = step;
  const [commit, lsn] = [primary.lsn + at * 100, primary.lsn + at * 100 + 50];
  const sequence = JSON.stringify([String(commit), String(lsn)]);
  const source = {
    schema: "public",
    table: line === undefined ? "thing" : "line",
    lsn,
    sequence,
    ts_ms: primary.ms + at,
  };
  const gone = op === "d" || op === "t";
  const row = line === undefined ? { id, note: note ?? "" } : { line };
  const value = { before: null, after: gone ? null : row, source, op };
  return [
    ...["key", id === undefined ? "default" : JSON.stringify({ id })],
    ...["value", JSON.stringify(value), ...headers],
  ];
}

export const put = (id: number, note: string): Step => ({ op: "u", id, note });
export const remove = (id: number): Step => ({ op: "d", id });

export interface Rewound extends AsyncDisposable {
  readonly scene: Scene;
  readonly streams: readonly [string, string, string, string];
  append(stream: string, primary: Primary, at: number, step: Step): Promise<string>;
  accept(dryRun?: boolean): Promise<{ readonly code: number; readonly text: string }>;
  /** Waits until the shard has applied this entry. */
  applied(stream: string, entryId: string): Promise<void>;
  stopped(stream: string): Promise<void>;
  rows(): Promise<Record<number, string>>;
  start(): Promise<RunningMember>;
}

export const slow = { timeout: 20_000, interval: 20 };

export async function rewound(batchEntries = 1000): Promise<Rewound> {
  await using stack = new AsyncDisposableStack();
  const config = { batchEntries, databaseConnections: 4, stoppedRetryMs: 100 };
  const scene = stack.use(await createScene({ shards: 4, config }));
  const { db, redis } = scene;
  await db.query(
    `CREATE TABLE thing (id int PRIMARY KEY, note text, _sluice_lsn bigint);
     CREATE TABLE line (line text, _sluice_lsn bigint)`,
  );
  let writing: Primary | undefined;
  const started = stack.move();
  return {
    scene,
    streams: scene.streams as [string, string, string, string],
    append: async (stream, primary, at, step) => {
      if (primary !== writing) await nextMillisecond(scene);
      writing = primary;
      return String(await redis.xadd(stream, "*", ...fieldsOf(primary, at, step)));
    },
    accept: async (dryRun = false) => {
      let text = "";
      const write = (piece: string): void => void (text += piece);
      const io = { out: write, err: write, env: {} };
      return { code: await accept(scene.config, io, { kind: "rewound-primary" }, dryRun), text };
    },
    applied: (stream, checkpoint) =>
      expect.poll(() => scene.shard(stream), slow).toMatchObject({ checkpoint, error: null }),
    stopped: (stream) =>
      expect
        .poll(() => scene.shard(stream), slow)
        .toMatchObject({ state: "stopped", error: "PRIMARY_REWOUND" }),
    rows: async () => {
      const rows = await db.query<{ id: number; note: string }>("SELECT id, note FROM thing ORDER BY id");
      return Object.fromEntries(rows.map(({ id, note }) => [id, note]));
    },
    start: async () => started.use(await scene.startMember()),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** Two primaries never write in one: Debezium is started anew in between. */
async function nextMillisecond({ redis }: Scene): Promise<void> {
  const now = async (): Promise<string> => {
    const [seconds, micros] = await redis.time();
    return `${seconds}.${String(micros).padStart(6, "0").slice(0, 3)}`;
  };
  const before = await now();
  while ((await now()) === before);
}
