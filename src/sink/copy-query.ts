import pg from "pg";

type Connection = Parameters<pg.Query["submit"]>[0];

const copyData = 0x64;
const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

/**
 * Sends a `COPY … FROM STDIN` together with its rows, before the server has said that it is ready for them: what stands behind it in the
 * same packet needs no round trip. A server that refuses the COPY passes over the rows, as its protocol demands. Resolves with
 * the number of rows. The rows must not be written to before it has.
 */
export function copyRows(client: pg.ClientBase, command: string, rows: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const answered = (error: Error | null | undefined, result: Pick<pg.QueryResult, "rowCount">): void => {
      if (error) reject(error);
      else resolve(result.rowCount ?? 0);
    };
    client.query(new CopyQuery(command, rows, answered as (error: Error | undefined) => void));
  });
}

class CopyQuery extends pg.Query {
  override submit: (connection: Connection) => void;

  constructor(command: string, rows: Buffer, answered: (error: Error | undefined) => void) {
    super(command, answered);
    this.submit = (connection) => {
      const head = Buffer.allocUnsafe(5);
      head[0] = copyData;
      head.writeInt32BE(rows.length + 4, 1);
      connection.query(command);
      connection.stream.write(head);
      connection.stream.write(rows);
      connection.stream.write(copyDone);
    };
  }

  /** The driver's own gives up a COPY that it has no rows for; these are on their way. */
  handleCopyInResponse(): void {}
}
