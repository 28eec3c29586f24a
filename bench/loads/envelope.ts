import type { Change } from "./load.ts";

/** Where a change stands in the primary's log. */
export interface Position {
  readonly lsn: number;
  readonly lastCommitLsn: number;
  readonly transactionId: number;
  readonly committedAtMs: number;
}

/** The `value` field as Debezium Server 3.6 writes it: no schemas, the settings of this repository's `debezium/` folder. */
export function envelopeOf({ op, table, row }: Change, position: Position): string {
  const image = imageOf(
    table.columns,
    op === "d" ? row.map((value, index) => (index === 0 ? value : null)) : row,
  );
  const [before, after] = op === "d" ? [image, "null"] : ["null", image];
  const { lsn, lastCommitLsn, transactionId, committedAtMs: ms } = position;
  return (
    `{"before":${before},"after":${after},"source":{"version":"3.6.1.Final","connector":"postgresql","name":"app",` +
    `"ts_ms":${ms},"snapshot":null,"db":"app","sequence":"[\\"${lastCommitLsn}\\",\\"${lsn}\\"]","ts_us":${ms}417,` +
    `"ts_ns":${ms}417000,"schema":"public","table":"${table.name}","txId":${transactionId},"lsn":${lsn},"xmin":null,"origin":null,"origin_lsn":null},` +
    `"transaction":null,"op":"${op}","ts_ms":${ms + 12},"ts_us":${ms + 12}833,"ts_ns":${ms + 12}833125}`
  );
}

function imageOf(columns: Change["table"]["columns"], row: Change["row"]): string {
  let json = "{";
  for (let index = 0; index < columns.length; index++) {
    json += `${index === 0 ? "" : ","}"${columns[index]?.name ?? ""}":${JSON.stringify(row[index])}`;
  }
  return `${json}}`;
}
