import type pg from "pg";
import type { SluiceError } from "../errors/sluice-error.ts";

export interface ReplayRecord {
  readonly stream: string;
  readonly from: string;
  readonly to: string;
  /** Patterns; empty: all. */
  readonly tables: readonly string[];
  readonly startedBy: string;
}

export interface ReplayShard {
  readonly stream: string;
  readonly retired: boolean;
  /** It has a checkpoint: the stream was there. */
  readonly applied: boolean;
}

export type ReplayState = "done" | "failed" | "interrupted";

/** The rows of `sluice.replay`: who replayed which range, when, with what result. */
export class ReplayStore {
  private readonly pool: pg.Pool;
  private readonly pipeline: string;

  constructor(pool: pg.Pool, pipeline: string) {
    this.pool = pool;
    this.pipeline = pipeline;
  }

  /** The pipeline's shards, earlier generations' included. */
  async shards(): Promise<readonly ReplayShard[]> {
    const { rows } = await this.pool.query<ReplayShard>(
      `SELECT stream, retired_at IS NOT NULL AS retired, checkpoint IS NOT NULL AS applied
       FROM sluice.shard WHERE pipeline = $1 ORDER BY generation, stream`,
      [this.pipeline],
    );
    return rows;
  }

  /** The highest position of a snapshot's row that the stream's shard has applied. */
  async snapshotPosition(stream: string): Promise<bigint> {
    const { rows } = await this.pool.query<{ position: string }>(
      "SELECT snapshot_position::text AS position FROM sluice.shard WHERE pipeline = $1 AND stream = $2",
      [this.pipeline, stream],
    );
    return BigInt(rows[0]?.position ?? 0);
  }

  async start(record: ReplayRecord): Promise<string> {
    const { stream, from, to, tables, startedBy } = record;
    const { rows } = await this.pool.query<{ id: string }>(
      `INSERT INTO sluice.replay (pipeline, stream, from_entry, to_entry, tables, started_by)
       VALUES ($1, $2, $3, $4, $5, $6) RETURNING id::text`,
      [this.pipeline, stream, from, to, [...tables], startedBy],
    );
    return rows[0]?.id ?? "";
  }

  /**
   * Records the end. This commit waits for the disk, unlike those of the rows, and takes them along: what is said to be done does not
   * go with a crash of the read database.
   */
  async end(
    id: string,
    end: {
      readonly state: ReplayState;
      readonly entries: number;
      readonly written: number;
      readonly stale: number;
      readonly detail: object;
    },
  ): Promise<void> {
    const client = await this.pool.connect();
    let failure: Error | undefined;
    try {
      await client.query("BEGIN");
      await client.query("SET LOCAL synchronous_commit = on");
      await client.query(
        `UPDATE sluice.replay SET ended_at = clock_timestamp(), state = $2, entries = $3, written = $4, stale = $5, detail = $6
         WHERE id = $1`,
        [id, end.state, end.entries, end.written, end.stale, JSON.stringify(end.detail)],
      );
      await client.query("COMMIT");
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
      throw error;
    } finally {
      client.release(failure);
    }
  }
}

/** What is kept and shown of an error. */
export function errorDetail(error: SluiceError): object {
  return { code: error.code, message: error.message, place: error.place, remedy: error.remedy };
}
