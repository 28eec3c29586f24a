import type pg from "pg";

export interface Member {
  readonly name: string;
  readonly host: string;
  readonly version: string;
  /** A UUID of this process. */
  readonly instance: string;
}

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
         version = EXCLUDED.version, started_at = now(), last_seen = now()`,
      [this.pipeline, this.member.name, this.member.instance, this.member.host, this.member.version],
    );
  }

  /** False when another process took the name. A row that was removed meanwhile is put back. */
  async heartbeat(): Promise<boolean> {
    const { rowCount } = await this.pool.query(
      `INSERT INTO sluice.member AS m (pipeline, name, instance, host, version) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (pipeline, name) DO UPDATE SET last_seen = now() WHERE m.instance = EXCLUDED.instance`,
      [this.pipeline, this.member.name, this.member.instance, this.member.host, this.member.version],
    );
    return rowCount === 1;
  }

  async deregister(): Promise<void> {
    await this.pool.query("DELETE FROM sluice.member WHERE pipeline = $1 AND name = $2 AND instance = $3", [
      this.pipeline,
      this.member.name,
      this.member.instance,
    ]);
  }
}
