/** A value as PostgreSQL reads it: text, or bytes in its type's binary form. */
export type Parameter = string | Buffer | null;

const code = { parse: 0x50, bind: 0x42, close: 0x43, copyData: 0x64 } as const;
/** The unnamed portal, all of its rows. */
const execute = Buffer.from([0x45, 0, 0, 0, 9, 0, 0, 0, 0, 0]);
const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);
const sync = Buffer.from([0x53, 0, 0, 0, 4]);
const firstSize = 64 * 1024;
/** A larger one is not kept: a batch of large values must not make it large for ever. */
const largestKept = 1024 * 1024;

/**
 * Messages of PostgreSQL's extended query protocol, written one behind the other into one buffer, which is used again for the next
 * ones: what is sent is one write, and no message becomes garbage.
 */
export class MessageWriter {
  private bytes: Buffer = Buffer.allocUnsafeSlow(firstSize);
  private length = 0;

  clear(): void {
    if (this.bytes.length > largestKept) this.bytes = Buffer.allocUnsafeSlow(firstSize);
    this.length = 0;
  }

  /** All since `clear`; written over after the next one. */
  get messages(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  /** Prepares a statement, instead of one of that name if there is one: closing what is not there is no error. */
  prepare(name: string, text: string): void {
    const close = this.begin(code.close);
    this.byte(statementKind);
    this.cString(name);
    this.end(close);
    const parse = this.begin(code.parse);
    this.cString(name);
    this.cString(text);
    this.int16(0);
    this.end(parse);
  }

  /** Runs a prepared statement. */
  execute(name: string, values: readonly Parameter[]): void {
    const bind = this.begin(code.bind);
    this.cString("");
    this.cString(name);
    this.int16(values.length);
    for (const value of values) this.int16(Buffer.isBuffer(value) ? 1 : 0);
    this.int16(values.length);
    for (const value of values) this.parameter(value);
    this.int16(0);
    this.end(bind);
    this.copy(execute);
  }

  /** Data of the `COPY … FROM STDIN` that was executed before. */
  copyData(rows: Buffer): void {
    const data = this.begin(code.copyData);
    this.copy(rows);
    this.end(data);
    this.copy(copyDone);
  }

  sync(): void {
    this.copy(sync);
  }

  private parameter(value: Parameter): void {
    if (value === null) {
      this.int32(-1);
    } else if (typeof value === "string") {
      const at = this.length;
      this.int32(0);
      this.text(value);
      this.bytes.writeInt32BE(this.length - at - 4, at);
    } else {
      this.int32(value.length);
      this.copy(value);
    }
  }

  /** Returns where the message's length stands. */
  private begin(kind: number): number {
    this.byte(kind);
    const at = this.length;
    this.int32(0);
    return at;
  }

  private end(at: number): void {
    this.bytes.writeInt32BE(this.length - at, at);
  }

  private cString(value: string): void {
    this.text(value);
    this.byte(0);
  }

  private text(value: string): void {
    // No character takes more bytes in UTF-8.
    this.reserve(value.length * 3);
    this.length += this.bytes.write(value, this.length, "utf8");
  }

  private byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  private int16(value: number): void {
    this.reserve(2);
    this.length = this.bytes.writeUInt16BE(value, this.length);
  }

  private int32(value: number): void {
    this.reserve(4);
    this.length = this.bytes.writeInt32BE(value, this.length);
  }

  private copy(value: Buffer): void {
    this.reserve(value.length);
    this.bytes.set(value, this.length);
    this.length += value.length;
  }

  private reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    larger.set(this.messages);
    this.bytes = larger;
  }
}

const statementKind = 0x53;
