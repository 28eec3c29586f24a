/** A table as Debezium's source block names it; one object per table, so it can be compared by identity. */
export interface TableName {
  readonly schema: string;
  readonly table: string;
  /** schema.table */
  readonly id: string;
}

export type Operation = "c" | "u" | "r" | "d" | "t";

/** What many changes have in common: one object for all of them, so it can be compared by identity. */
export interface ChangeForm {
  readonly op: Operation;
  readonly table: TableName;
  /** Fingerprint of the names of the image's columns, for deletes of the key's. */
  readonly shape: number;
  /** Fingerprint of the names of the key's columns; 0 without a key. */
  readonly keyShape: number;
}

/** When a transaction was committed at the primary; one object for its changes. */
export interface Commit {
  /** How far the primary had committed before, above the shard's base; among one primary's commits it never falls. */
  readonly lsn: number;
  /** In milliseconds, or 0. */
  readonly atMs: number;
}

/** Half of a key change names the other. */
export interface KeyLink {
  /** On the delete half: the new key, a JSON object's text. */
  readonly newKey: string | undefined;
  /** On the insert half: the old key, a JSON object's text. */
  readonly oldKey: string | undefined;
}

type ChangeFields = Pick<
  Change,
  | "form"
  | "entryIndex"
  | "bytes"
  | "keyStart"
  | "keyEnd"
  | "imageStart"
  | "imageEnd"
  | "position"
  | "logged"
  | "commit"
> & { readonly link: KeyLink | undefined; readonly keyHash?: number | undefined };

/**
 * One decoded insert, update, delete, truncate or snapshot read. Key and image stay where they were read; whoever asks for one must do so
 * before the buffer is given back.
 */
export class Change {
  readonly form: ChangeForm;
  /** Index of its entry in the chunk that was read. */
  readonly entryIndex: number;
  /** Hold key and image among others. */
  readonly bytes: Buffer;
  /** The key as Debezium wrote it, a JSON object; -1 for tables without a key and for truncates. */
  readonly keyStart: number;
  readonly keyEnd: number;
  /** `after` as Debezium wrote it, a JSON object in UTF-8; -1 for deletes and truncates. */
  readonly imageStart: number;
  readonly imageEnd: number;
  /** Where the change sits in the primary's log, above the shard's base and above snapshots that it is newer than. */
  readonly position: bigint;
  /** Where it was logged itself, whatever the base: the two halves of a key change share that, and no other change of their keys does. */
  readonly logged: bigint;
  readonly commit: Commit;
  /** As `hashKey` gives it, where whoever read the key knows it already. */
  readonly keyHash: number | undefined;
  private readonly link: KeyLink | undefined;
  private keyText: string | undefined = undefined;

  constructor(fields: ChangeFields) {
    this.form = fields.form;
    this.entryIndex = fields.entryIndex;
    this.bytes = fields.bytes;
    this.keyStart = fields.keyStart;
    this.keyEnd = fields.keyEnd;
    this.imageStart = fields.imageStart;
    this.imageEnd = fields.imageEnd;
    this.position = fields.position;
    this.logged = fields.logged;
    this.commit = fields.commit;
    this.keyHash = fields.keyHash;
    this.link = fields.link;
  }

  get op(): Operation {
    return this.form.op;
  }

  get table(): TableName {
    return this.form.table;
  }

  get hasKey(): boolean {
    return this.keyStart >= 0;
  }

  /** The key's text; undefined where there is none. */
  get key(): string | undefined {
    if (!this.hasKey) return undefined;
    return (this.keyText ??= this.bytes.toString("utf8", this.keyStart, this.keyEnd));
  }

  /** Undefined where there is none. */
  get image(): Buffer | undefined {
    return this.imageStart < 0 ? undefined : this.bytes.subarray(this.imageStart, this.imageEnd);
  }

  get commitLsn(): number {
    return this.commit.lsn;
  }

  get committedAtMs(): number {
    return this.commit.atMs;
  }

  get newKey(): string | undefined {
    return this.link?.newKey;
  }

  get oldKey(): string | undefined {
    return this.link?.oldKey;
  }
}

/** schema.table, each in quotes where it has a dot or a quote itself: no two tables have one id. */
export function tableId(schema: string, table: string): string {
  return `${idPart(schema)}.${idPart(table)}`;
}

/** The inverse of `tableId`. */
export function parseTableId(id: string): TableName {
  const [schema = "", table = ""] = [...id.matchAll(/"((?:[^"]|"")*)"|([^".]+)/g)].map(
    ([, quoted, plain]) => plain ?? quoted?.replaceAll('""', '"') ?? "",
  );
  return { schema, table, id };
}

function idPart(name: string): string {
  return /[."]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}
