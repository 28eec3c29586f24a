import type pg from "pg";
import { SluiceError } from "../errors/sluice-error.ts";
import type { BatchSeconds } from "../observe/progress.ts";
import { isSendable } from "./add-rows.ts";
import {
  commitStepwise,
  commitTogether,
  type ShardBatch,
  type TransactionParts,
} from "./batch-transaction.ts";
import { CommitQueue, type TransactionLimits, type Waiting } from "./commit-queue.ts";
import { CopyRefused, CopyTrials } from "./copy-inserts.ts";
import type { ShardStore } from "./shard-store.ts";
import { DatabaseHorizon, HorizonMoved } from "./tombstone-horizon.ts";
import { RowsUnknown } from "./write-segment.ts";

export interface CommitterOptions {
  readonly pool: pg.Pool;
  /** Transactions at a time; the pool has as many connections. */
  readonly connections: number;
  readonly shards: Pick<ShardStore, "move" | "moving">;
  /** What one transaction takes at most, unless one batch alone is larger. */
  readonly mostEntries: () => number;
  readonly mostBytes: number;
}

/**
 * How many batches a transaction takes, where all shards together have as many at hand. Fewer and larger transactions cost PostgreSQL
 * less, but it must not be idle while the next are made: half of what is there is left for those.
 */
export function batchesOfTransaction(atHand: number, connections: number): number {
  return Math.min(4, Math.max(2, atHand / 2 / connections));
}

/** A batch that wants to be committed. */
export interface CommitRequest {
  readonly stream: string;
  readonly entries: number;
  readonly bytes: number;
  /** When its first entry was appended, in milliseconds. */
  readonly appendedAtMs: number;
  /** It must not share its transaction: it may fail, or take its time. */
  readonly alone: boolean;
  /** Called when its turn has come. */
  readonly begun: () => void;
  /** Called then; what it is made of should not lie in memory while it waits. */
  readonly prepare: () => Promise<ShardBatch>;
}

export interface Committed {
  /** Changes that were older than their rows. */
  readonly stale: number;
  readonly seconds: BatchSeconds;
}

interface Ticket extends Waiting {
  readonly request: CommitRequest;
  readonly settle: PromiseWithResolvers<Committed>;
}

interface Prepared extends Ticket {
  readonly batch: ShardBatch;
  /** Since when it was prepared. */
  readonly started: number;
}

/** A part of a transaction that is worth beginning one beside others: its own cost is small beside its rows' then. */
const worthyPart = 1 / 2;
/** How long smaller ones wait for company while another transaction is at work, in milliseconds. */
const patienceMs = 5;

/**
 * Commits the batches of all shards of a member. Small ones that wait at the same time share a transaction: when many shards have little
 * each, a transaction for each of them would cost more than all their rows. A shared transaction that fails is done again
 * for each shard by itself, so that no shard is held up by another's change.
 */
export class Committer {
  private readonly options: CommitterOptions;
  private readonly parts: TransactionParts;
  private readonly waiting = new CommitQueue<Ticket>();
  private atWork = 0;
  private timer: NodeJS.Timeout | undefined;
  private soon: NodeJS.Immediate | undefined;
  /** Streams whose last batch failed. */
  private readonly suspects = new Set<string>();

  constructor(options: CommitterOptions) {
    this.options = options;
    const { shards } = options;
    this.parts = { shards, horizon: new DatabaseHorizon(), trials: new CopyTrials() };
  }

  /** A failure says what became of nothing: neither rows nor checkpoint. */
  commit(request: CommitRequest): Promise<Committed> {
    const settle = Promise.withResolvers<Committed>();
    const alone = request.alone || this.suspects.has(request.stream);
    this.waiting.add({ request, since: performance.now(), settle, alone });
    // What the other shards' sockets hold by now is taken in first, so that it can be in the same transaction.
    this.soon ??= setImmediate(() => {
      this.soon = undefined;
      this.next();
    });
    return settle.promise;
  }

  private next(): void {
    clearTimeout(this.timer);
    while (this.mayBegin()) void this.serve(this.take());
    const { first } = this.waiting;
    if (first === undefined || this.atWork === this.options.connections) return;
    const leftMs = first.since + patienceMs - performance.now();
    this.timer = setTimeout(() => this.next(), Math.max(1, Math.ceil(leftMs)));
  }

  private mayBegin(): boolean {
    const { waiting, atWork } = this;
    const { first } = waiting;
    if (first === undefined || atWork === this.options.connections) return false;
    if (atWork === 0 || first.alone || performance.now() - first.since >= patienceMs) return true;
    return waiting.fills(worthyPart, this.limits);
  }

  private take(): Ticket[] {
    return this.waiting.take(this.limits, performance.now());
  }

  private get limits(): TransactionLimits {
    const { mostEntries, mostBytes } = this.options;
    return { mostEntries: mostEntries(), mostBytes };
  }

  private async serve(tickets: readonly Ticket[]): Promise<void> {
    this.atWork++;
    try {
      await this.transact(await this.prepare(tickets), performance.now());
    } catch (error) {
      for (const ticket of tickets) this.fail(ticket, error);
    }
    this.atWork--;
    this.next();
  }

  /** Those that can be. */
  private async prepare(tickets: readonly Ticket[]): Promise<readonly Prepared[]> {
    const prepared: Prepared[] = [];
    for (const ticket of tickets) {
      const started = performance.now();
      ticket.request.begun();
      try {
        prepared.push({ ...ticket, started, batch: await ticket.request.prepare() });
      } catch (error) {
        this.fail(ticket, error);
      }
    }
    return prepared;
  }

  private async transact(tickets: readonly Prepared[], prepared: number): Promise<void> {
    if (tickets.length === 0) return;
    const client = await this.options.pool.connect();
    const turn = { prepared, connected: performance.now() };
    const together = tickets.filter(({ batch }) => isSendable(batch.segments));
    let isBroken = together.length > 0 && !(await this.together(client, together, turn));
    for (const ticket of tickets) {
      if (together.includes(ticket)) continue;
      if (isBroken) this.again(ticket);
      else isBroken = !(await this.stepwise(client, ticket, turn));
    }
    client.release(isBroken);
  }

  /** False: the connection is of no use any more. */
  private async together(
    client: pg.PoolClient,
    tickets: readonly Prepared[],
    turn: Turn,
    looking = false,
  ): Promise<boolean> {
    const batches = tickets.map(({ batch }) => batch);
    try {
      let stale = await commitTogether(client, batches, this.parts, { looking });
      for (const ticket of tickets) {
        // Nobody knows whose they were; all together they are right.
        const own = Math.min(stale, ticket.request.entries);
        stale -= own;
        this.succeed(ticket, own, turn);
      }
      return true;
    } catch (error) {
      if (error instanceof HorizonMoved) this.parts.horizon.clear();
      if (error instanceof CopyRefused) this.parts.trials.refused(error.table);
      const isRefused = error instanceof HorizonMoved || error instanceof CopyRefused;
      if (isRefused && !looking) return this.together(client, tickets, turn, true);
      const isRolledBack = isAnswer(error);
      // Without an answer nobody knows whether it was committed: each begins again at the checkpoint that is there.
      if (tickets.length === 1 || !isRolledBack) for (const ticket of tickets) this.fail(ticket, error);
      else for (const ticket of tickets.toReversed()) this.again(ticket);
      return isRolledBack;
    }
  }

  private async stepwise(client: pg.PoolClient, ticket: Prepared, turn: Turn): Promise<boolean> {
    try {
      this.succeed(ticket, await commitStepwise(client, ticket.batch, this.parts), turn);
      return true;
    } catch (error) {
      const isRolledBack = await rollBack(client, error);
      this.fail(ticket, error);
      return isRolledBack;
    }
  }

  private succeed({ request, since, started, settle }: Prepared, stale: number, turn: Turn): void {
    this.suspects.delete(request.stream);
    const waited = started - since + turn.connected - turn.prepared;
    settle.resolve({
      stale,
      seconds: {
        waited: waited / 1000,
        prepare: (turn.prepared - started) / 1000,
        write: (performance.now() - turn.connected) / 1000,
      },
    });
  }

  private fail({ request, settle }: Ticket, error: unknown): void {
    this.suspects.add(request.stream);
    settle.reject(error);
  }

  /** By itself, before all others: what failed may not have been its own doing. */
  private again({ request, since, settle }: Ticket): void {
    this.waiting.addFirst({ request, since, settle, alone: true });
  }
}

/** On the clock of performance.now(). */
interface Turn {
  readonly prepared: number;
  readonly connected: number;
}

/** Ends the transaction; false: the connection does not answer in order. */
async function rollBack(client: pg.ClientBase, failure: unknown): Promise<boolean> {
  if (!isAnswer(failure)) return false;
  return client.query("ROLLBACK").then(
    () => true,
    () => false,
  );
}

/** What is no error of the server's is the connection's: it may hang, and would do so again. */
function isAnswer(failure: unknown): boolean {
  return (
    failure instanceof SluiceError ||
    failure instanceof RowsUnknown ||
    failure instanceof HorizonMoved ||
    failure instanceof CopyRefused ||
    (isOfServer(failure) && !endsSession.test(failure.code))
  );
}

function isOfServer(failure: unknown): failure is Error & { readonly code: string } {
  return (
    failure instanceof Error && "severity" in failure && "code" in failure && typeof failure.code === "string"
  );
}

/** The server ends the session, or has lost the statements that were prepared in it. */
const endsSession = /^(57P|25P03|26000)/;
