import type { Config } from "../config/config.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import { openPool } from "../sink/connect.ts";
import { DecisionStore } from "../sink/decision-store.ts";
import { StreamRecordStore } from "../sink/stream-record-store.ts";
import { openRedis } from "../source/connect.ts";
import { readStreamExtent } from "../source/stream-extent.ts";
import { startingPoint } from "../source/starting-point.ts";
import { acceptRewound } from "./accept-rewound.ts";
import type { ConsoleIo } from "./console-io.ts";
import { exitCode } from "./exit-code.ts";
import { userName } from "./user-name.ts";

/** What an operator confirms; recorded in `sluice.decision` with who did it. */
export type Acceptance =
  | { readonly kind: "gap"; readonly stream: string }
  | { readonly kind: "rewound-primary" };

/** Records the decision, after which the stopped shards go on by themselves. */
export async function accept(
  config: Config,
  io: ConsoleIo,
  acceptance: Acceptance,
  dryRun: boolean,
): Promise<number> {
  const pool = openPool({ url: config.databaseUrl, applicationName: "sluice accept", max: 1 });
  try {
    return acceptance.kind === "gap"
      ? await acceptGap(config, io, pool, acceptance.stream, dryRun)
      : await acceptRewound(config, io, pool, dryRun);
  } finally {
    await pool.end();
  }
}

type Pool = ReturnType<typeof openPool>;

async function acceptGap(
  config: Config,
  io: ConsoleIo,
  pool: Pool,
  stream: string,
  dryRun: boolean,
): Promise<number> {
  const decisions = new DecisionStore(pool, config.pipeline);
  const saved = await decisions.checkpoint(stream);
  if (saved === undefined) throw noGap(stream, "it is no shard of the pipeline");
  const seen = await new StreamRecordStore(pool, config.pipeline).seen(stream);
  const redis = await openRedis({ url: config.redisUrl, name: "sluice-accept" });
  const expected = { checkpoint: saved.id, seen: seen?.lastId };
  const extent = await readStreamExtent(redis, stream, expected).finally(() => redis.disconnect());
  const start = startingPoint({ checkpoint: saved, extent, seen });
  if (start.kind !== "gap") throw noGap(stream, "nothing is missing after its checkpoint");
  const lost = start.lost ?? "an unknown number of";
  const what = `${lost} entries of ${stream} after ${saved.id ?? "its beginning"}`;
  if (dryRun) {
    io.out(`would accept the loss of ${what}\n`);
    return exitCode.done;
  }
  const { goOnFrom } = start;
  await decisions.acceptGap({ stream, from: saved, goOnFrom, lost: start.lost, decidedBy: userName() });
  io.out(`accepted the loss of ${what}; the shard goes on by itself\n`);
  io.out("The tables may lack these changes until they are copied anew by a snapshot.\n");
  return exitCode.done;
}

function noGap(stream: string, why: string): SluiceError {
  return new SluiceError("CONFIG_INVALID", `${stream} has no gap to accept: ${why}`, {
    place: { stream },
    remedy: "See `sluice status` for the shards that STREAM_GAP stopped.",
  });
}
