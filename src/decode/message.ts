import type { KeyLink } from "../change/change.ts";
import { SluiceError } from "../errors/sluice-error.ts";
import type { Entries } from "./entries.ts";
import { isSame } from "./json-scan.ts";

/** Where key and value stand in an entry's buffer. One serves for many entries. */
export class Message {
  keyStart = 0;
  keyEnd = 0;
  /** Of the names in the key; 0 where there is none. */
  keyShape = 0;
  /** As `hashKey` gives it, where whoever read the key knows it already. */
  keyHash: number | undefined = undefined;
  valueStart = 0;
  valueEnd = 0;
  /** From the headers of a key change's halves. */
  link: KeyLink | undefined = undefined;

  /** Extended format: fields `key`, `value` and headers in upper case. Compact: one field, its name the key. */
  read(entries: Entries, index: number): void {
    const parts = entries.partsOf(index);
    if (parts < 2) throw notDebezium("the entry has no fields");
    this.link = undefined;
    if (parts === 2) this.take(entries, index, { key: 0, value: 1 });
    // Nearly every entry has these two fields in this order and no header.
    else if (parts === 4 && isPart(entries, index, 0, keyName) && isPart(entries, index, 2, valueName))
      this.take(entries, index, usual);
    else this.readNamed(entries, index);
  }

  private readNamed(entries: Entries, index: number): void {
    const values = new Map<string, number>();
    for (let part = 0; part + 1 < entries.partsOf(index); part += 2)
      values.set(textOf(entries, index, part), part + 1);
    const [key, value] = [values.get("key"), values.get("value")];
    if (key === undefined || value === undefined)
      throw notDebezium("the entry lacks the field `key` or `value`");
    this.take(entries, index, { key, value });
    const [newKey, oldKey] = [values.get("__DEBEZIUM.NEWKEY"), values.get("__DEBEZIUM.OLDKEY")];
    if (newKey === undefined && oldKey === undefined) return;
    this.link = {
      newKey: newKey === undefined ? undefined : textOf(entries, index, newKey),
      oldKey: oldKey === undefined ? undefined : textOf(entries, index, oldKey),
    };
  }

  private take(entries: Entries, index: number, { key, value }: Parts): void {
    this.keyStart = entries.startOf(index, key);
    this.keyEnd = entries.endOf(index, key);
    this.valueStart = entries.startOf(index, value);
    this.valueEnd = entries.endOf(index, value);
  }
}

/** The numbers of the parts that are key and value. */
interface Parts {
  readonly key: number;
  readonly value: number;
}

const keyName = Buffer.from("key");
const valueName = Buffer.from("value");
const usual: Parts = { key: 1, value: 3 };

function isPart(entries: Entries, index: number, part: number, name: Uint8Array): boolean {
  return isSame(entries.buffer, entries.startOf(index, part), entries.endOf(index, part), name);
}

function textOf(entries: Entries, index: number, part: number): string {
  return entries.buffer.toString("utf8", entries.startOf(index, part), entries.endOf(index, part));
}

export function notDebezium(message: string, cause?: unknown): SluiceError {
  return new SluiceError("ENTRY_NOT_DEBEZIUM", message, { cause });
}
