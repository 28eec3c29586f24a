import type pg from "pg";

/** The highest that was seen of a stream since its shard last began anew. */
export interface SeenStream {
  readonly lastId: string;
  /** Entries ever added, removed ones included. */
  readonly added: bigint;
}

/** A stream as it was looked at, beside the place of its shard at that time. */
export interface LookedAt extends SeenStream {
  readonly stream: string;
  readonly epoch: string;
  readonly checkpoint: string;
}

/** What happened to a stream that an operator should know. */
export interface StreamFinding {
  readonly stream: string;
  /** Entries deleted before they were applied; 0: none. */
  readonly deleted: number;
  readonly deletedSecondsAgo: number | null;
  /** Why all that the stream holds was applied again. */
  readonly beganAnew: string | null;
  readonly beganAnewSecondsAgo: number | null;
}

/** `ms-seq` for comparisons; text would put 10 before 9. */
const orderOf = (id: string): string =>
  `(split_part(${id}, '-', 1)::numeric, split_part(${id}, '-', 2)::numeric)`;

const selectFindings = `
  SELECT stream, deleted::float8, extract(epoch FROM now() - deleted_at)::float8 AS "deletedSecondsAgo",
         began_anew AS "beganAnew", extract(epoch FROM now() - began_anew_at)::float8 AS "beganAnewSecondsAgo"
  FROM sluice.stream_record
  WHERE pipeline = $1 AND (deleted_at IS NOT NULL OR began_anew_at IS NOT NULL) ORDER BY stream`;

/** What was found, whichever member found it. */
export async function readStreamFindings(
  database: Pick<pg.Pool, "query">,
  pipeline: string,
): Promise<readonly StreamFinding[]> {
  const { rows } = await database.query<StreamFinding>(selectFindings, [pipeline]);
  return rows;
}

/** The rows of `sluice.stream_record`. */
export class StreamRecordStore {
  private readonly pool: pg.Pool;
  private readonly pipeline: string;

  constructor(pool: pg.Pool, pipeline: string) {
    this.pool = pool;
    this.pipeline = pipeline;
  }

  async seen(stream: string): Promise<SeenStream | undefined> {
    const { rows } = await this.pool.query<{ lastId: string; added: string }>(
      `SELECT last_id AS "lastId", added::text FROM sluice.stream_record
       WHERE pipeline = $1 AND stream = $2 AND last_id IS NOT NULL AND added IS NOT NULL`,
      [this.pipeline, stream],
    );
    const [row] = rows;
    return row && { lastId: row.lastId, added: BigInt(row.added) };
  }

  /**
   * Remembers the highest of each stream; one that went back does not lower it. Nothing of a shard that has begun anew since it was
   * looked at: what was seen then was another stream.
   */
  async see(streams: readonly LookedAt[]): Promise<void> {
    if (streams.length === 0) return;
    await this.pool.query(
      `INSERT INTO sluice.stream_record AS r (pipeline, stream, last_id, added)
       SELECT $1, seen.stream, seen.last_id, seen.added
       FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[])
         AS seen(stream, last_id, added, epoch, checkpoint)
       JOIN sluice.shard s ON s.pipeline = $1 AND s.stream = seen.stream AND s.epoch = seen.epoch
         AND ${orderOf("coalesce(s.checkpoint, '0-0')")} >= ${orderOf("seen.checkpoint")}
       ON CONFLICT (pipeline, stream) DO UPDATE SET last_id = EXCLUDED.last_id, added = EXCLUDED.added
       WHERE r.last_id IS NULL
         OR (r.added < EXCLUDED.added AND ${orderOf("r.last_id")} <= ${orderOf("EXCLUDED.last_id")})`,
      [
        this.pipeline,
        streams.map(({ stream }) => stream),
        streams.map(({ lastId }) => lastId),
        streams.map(({ added }) => added.toString()),
        streams.map(({ epoch }) => epoch),
        streams.map(({ checkpoint }) => checkpoint),
      ],
    );
  }

  /** Records that a shard began anew, after its checkpoint was put back. */
  async beginAnew(stream: string, why: string): Promise<void> {
    await this.pool.query(
      `INSERT INTO sluice.stream_record (pipeline, stream, began_anew, began_anew_at) VALUES ($1, $2, $3, now())
       ON CONFLICT (pipeline, stream) DO UPDATE SET last_id = NULL, added = NULL,
         began_anew = EXCLUDED.began_anew, began_anew_at = EXCLUDED.began_anew_at`,
      [this.pipeline, stream, why],
    );
  }
}
