import type pg from "pg";

export interface Member {
  readonly name: string;
  readonly host: string;
  readonly version: string;
  /** A UUID of this process. */
  readonly instance: string;
}

/** Only a running member wants shards; one that is cut off cannot reach Redis. */
export type MemberState = "running" | "leaving" | "cut-off";

/** The rows of `sluice.member`: registered means running. */
export class MemberStore {
  private readonly pool: pg.Pool;
  private readonly pipeline: string;
  private readonly member: Member;

  constructor(pool: pg.Pool, pipeline: string, member: Member) {
    this.pool = pool;
    this.pipeline = pipeline;
    this.member = member;
  }

  /** Registers, in place of a former process of the same name. */
  async register(): Promise<void> {
    await this.pool.query(
      `INSERT INTO sluice.member (pipeline, name, instance, host, version) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (pipeline, name) DO UPDATE SET instance = EXCLUDED.instance, host = EXCLUDED.host,
         version = EXCLUDED.version, state = 'running', started_at = now(), last_seen = now()`,
      [this.pipeline, this.member.name, this.member.instance, this.member.host, this.member.version],
    );
  }

  /** False when another process took the name. A row that was removed meanwhile is put back. */
  async heartbeat(state: MemberState): Promise<boolean> {
    const { rowCount } = await this.pool.query(
      `INSERT INTO sluice.member AS m (pipeline, name, instance, host, version, state) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (pipeline, name) DO UPDATE SET last_seen = now(), state = EXCLUDED.state
       WHERE m.instance = EXCLUDED.instance`,
      [this.pipeline, this.member.name, this.member.instance, this.member.host, this.member.version, state],
    );
    return rowCount === 1;
  }

  /**
   * Members that want shards: seen within `withinMs`, not leaving, not cut off. A sign of life that is still to come was given before
   * the database's clock was set back. Such rows go: who lives puts its row back within a second, and a dead member must not
   * seem to live once the clock has come there again.
   */
  async wanting(withinMs: number): Promise<{ readonly name: string }[]> {
    const { rows } = await this.pool.query<{ name: string }>(
      `WITH gone AS (
         DELETE FROM sluice.member WHERE pipeline = $1 AND last_seen > clock_timestamp() + interval '1 s')
       SELECT name FROM sluice.member WHERE pipeline = $1 AND state = 'running'
         AND last_seen BETWEEN clock_timestamp() - $2 * '1 ms'::interval AND clock_timestamp() ORDER BY name`,
      [this.pipeline, withinMs],
    );
    return rows;
  }

  async deregister(): Promise<void> {
    await this.pool.query("DELETE FROM sluice.member WHERE pipeline = $1 AND name = $2 AND instance = $3", [
      this.pipeline,
      this.member.name,
      this.member.instance,
    ]);
  }
}
