import pg from "pg";
import { connectionOf, type Connection } from "./connect.ts";
import { MessageWriter, type Parameter } from "./message-writer.ts";

/** A statement among others that are sent together. */
export interface Step {
  readonly text: string;
  readonly values: readonly Parameter[];
  /** What follows a `COPY … FROM STDIN`. */
  readonly rows?: Buffer;
  /** What its failing means. */
  readonly failed?: (error: unknown) => unknown;
}

const spare: MessageWriter[] = [];
/** Names of the statements that a connection has prepared, by their text. */
const prepared = new WeakMap<Connection, Map<string, string>>();

/**
 * Statements that are sent as one packet with one Sync at its end. PostgreSQL runs them as one transaction, commits it at the Sync and
 * answers once; the driver's own way ends each with a Sync, which costs both sides a wake-up and several system calls. The first that fails
 * rolls all back and those behind it are passed over.
 *
 * The connection must have nothing else under way.
 */
export class StepSequence {
  private readonly client: pg.ClientBase;
  private readonly known: Map<string, string>;
  private readonly added = new Map<string, string>();
  private readonly writer = spare.pop() ?? new MessageWriter();
  private readonly meanings: Step["failed"][] = [];

  constructor(client: pg.ClientBase) {
    this.client = client;
    const connection = connectionOf(client);
    let known = prepared.get(connection);
    if (known === undefined) prepared.set(connection, (known = new Map()));
    this.known = known;
    this.writer.clear();
  }

  /** The values are copied. Returns where the step's number of rows will be. */
  add({ text, values, rows, failed }: Step): number {
    const { known, added, writer } = this;
    let name = known.get(text) ?? added.get(text);
    if (name === undefined) {
      added.set(text, (name = `sluice_step_${known.size + added.size}`));
      writer.prepare(name, text);
    }
    writer.execute(name, values);
    if (rows !== undefined) writer.copyData(rows);
    return this.meanings.push(failed) - 1;
  }

  /** Resolves with the number of rows of each step. */
  async run(): Promise<readonly number[]> {
    const { writer, client, meanings } = this;
    writer.sync();
    const counts: number[] = [];
    try {
      await new Promise<void>((resolve, reject) => {
        const settled = (error: Error | undefined): void => (error ? reject(error) : resolve());
        client.query(new SequenceQuery(writer.messages, counts, settled));
      });
    } catch (error) {
      // The messages may still be on their way, so they are not written over.
      throw meanings[counts.length]?.(error) ?? error;
    }
    for (const [text, name] of this.added) this.known.set(text, name);
    spare.push(writer);
    return counts;
  }
}

/** The driver lets nothing but its own class into a pipeline; this one answers to the same messages. */
class SequenceQuery extends pg.Query {
  override submit: (connection: Connection) => void;
  private readonly counts: number[];

  constructor(messages: Buffer, counts: number[], settled: (error: Error | undefined) => void) {
    super("", settled);
    this.counts = counts;
    this.submit = (connection) => void connection.stream.write(messages);
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.counts.push(Number(/\d+$/.exec(text)?.[0] ?? 0));
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  /** The driver's own gives up a COPY that it has no rows for; these are on their way. */
  handleCopyInResponse(): void {}
}
