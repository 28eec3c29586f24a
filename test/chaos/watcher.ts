import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import type { Stage } from "./stage.ts";
import { readShards, readStreams, type ShardFacts } from "./store-facts.ts";

const pauseMs = 100;

/** Looks at both stores all the time for what must never be, whatever fails. */
export class Watcher {
  private readonly stage: Stage;
  private readonly owners = new Map<string, { readonly epoch: number; readonly owner: string | null }>();
  private stopping = false;
  private ended: Promise<void> | undefined;
  /** Gives up on a Redis that is down, where the stage's own connection would wait. */
  private readonly redis: Redis;
  looks = 0;
  /** Entries that were removed from all streams, as last seen. */
  trimmed = 0;

  constructor(stage: Stage) {
    this.stage = stage;
    this.redis = new Redis(stage.redisServer.url, {
      maxRetriesPerRequest: 0,
      commandTimeout: 1_000,
      retryStrategy: () => 100,
    });
    this.redis.on("error", () => undefined);
  }

  start(): void {
    this.ended ??= this.run();
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.ended;
    this.redis.disconnect();
    await this.readViolations();
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      try {
        await this.look();
        this.looks++;
        if (this.looks % 10 === 0) await this.readViolations();
      } catch {
        // A store is away.
      }
      await pause(pauseMs);
    }
  }

  /**
   * Redis first: what was removed by then must be applied in every later state of the read database, also in one that it went back
   * to by a crash.
   */
  private async look(): Promise<void> {
    const { findings, streams, database } = this.stage;
    const seen = await readStreams(this.redis, streams);
    const shards = await readShards(database);
    this.trimmed = seen.reduce((sum, { removed }) => sum + removed, 0);
    for (const { stream, removed } of seen) {
      const shard = shards.find((each) => each.stream === stream);
      if (shard !== undefined && removed > shard.entries)
        findings.note(
          "entries were removed before they were applied",
          `${stream}: ${removed} removed, ${shard.entries} applied`,
        );
    }
    for (const shard of shards) this.watchEpoch(shard);
  }

  /** A number that fences must never be given twice, also not by a server that lost its last commits. */
  private watchEpoch({ stream, epoch, owner }: ShardFacts): void {
    const { findings } = this.stage;
    const last = this.owners.get(stream);
    if (last !== undefined && epoch < last.epoch)
      findings.note("an epoch was lost by a crash", `${stream} from ${last.epoch} to ${epoch}`);
    if (last?.epoch === epoch && last.owner !== null && owner !== null && owner !== last.owner)
      findings.note("an epoch had two owners", `${stream}, epoch ${epoch}: ${last.owner} and ${owner}`);
    this.owners.set(stream, { epoch, owner: owner ?? (last?.epoch === epoch ? last.owner : null) });
  }

  async readViolations(): Promise<void> {
    const { database, findings } = this.stage;
    const found = await database.insist<{ what: string; detail: string }>(
      "WITH told AS (DELETE FROM chaos.violation RETURNING what, detail) SELECT * FROM told",
    );
    for (const { what, detail } of found) findings.note(what, detail);
    const writers = await database.insist<{ stream: string; epoch: string; members: string }>(
      `SELECT stream, epoch, string_agg(member, ' and ') AS members FROM chaos.writer
       GROUP BY stream, epoch HAVING count(*) > 1`,
    );
    for (const { stream, epoch, members } of writers)
      findings.note(`two members wrote ${stream} in epoch ${epoch}`, members);
  }
}
