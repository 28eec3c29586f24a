import type { CopyData } from "../copy-data.ts";
import { copyNull, verbatim, type CopyForm } from "../copy-text.ts";

/* Forms of values for COPY that are more than their JSON's text. What a form refuses is converted by PostgreSQL. */

const quote = 0x22;
const nullStart = 0x6e;
const point = 0x2e;
const minus = 0x2d;

/** A number in a string. COPY would round to the column's scale; without one, `scale` is undefined. */
export function decimalForm(scale: number | undefined): CopyForm {
  const form: CopyForm = (image, from, to) => {
    if (image[from] === nullStart) return copyNull(from, to);
    const start = image[from] === quote ? from + 1 : from;
    let at = image[start] === minus ? start + 1 : start;
    let fraction = -1;
    for (; ; at++) {
      const byte = image[at] ?? 0;
      if (byte === point) fraction = 0;
      else if (!isDigit(byte)) break;
      else if (fraction >= 0) fraction++;
    }
    // Names of what is no number, and exponents.
    if (start !== from && image[at] !== quote) return -1;
    if (at === start || (scale !== undefined && fraction > scale)) return -1;
    return verbatim(image, from, to);
  };
  return Object.assign(form, { kernel: { form: 1, argument: scale ?? -1 } as const });
}

/** A number of a double, or what is none. A whole number, or text, may be finer than a double, and is then rounded. */
export const doubleForm: CopyForm = (image, from, to) => {
  if (image[from] === quote) return isNoNumber(image, from) ? verbatim(image, from, to) : -1;
  let [at, isWhole] = [from, true];
  for (; ; at++) {
    const byte = image[at] ?? 0;
    if (byte === point || isExponent(byte)) isWhole = false;
    else if (!isDigit(byte) && byte !== minus && byte !== plus) break;
  }
  return isWhole && at - from > exactDigits ? -1 : verbatim(image, from, to);
};

/** A number of few digits, which a float of four bytes holds as well. */
export const singleForm: CopyForm = (image, from, to) => {
  if (image[from] === quote) return isNoNumber(image, from) ? verbatim(image, from, to) : -1;
  let at = from;
  while (isDigit(image[at] ?? 0) || image[at] === point || image[at] === minus) at++;
  return at - from > singleDigits || isExponent(image[at] ?? 0) ? -1 : verbatim(image, from, to);
};

const exactDigits = 15;
const singleDigits = 6;
const plus = 0x2b;

function isExponent(byte: number): boolean {
  return byte === 0x45 || byte === 0x65;
}

/** `"NaN"`, `"Infinity"`, `"-Infinity"`. */
function isNoNumber(image: Buffer, from: number): boolean {
  const first = image[from + 1] === minus ? image[from + 2] : image[from + 1];
  return first === 0x4e || first === 0x49;
}

/** Text that fits certainly, having no more bytes than characters are allowed; varchar cuts blanks at the end. */
export function shortTextForm(most: number): CopyForm {
  const form: CopyForm = (image, from, to) => {
    const begun = to.length;
    const end = verbatim(image, from, to);
    return image[from] !== nullStart && to.length - begun > most ? -1 : end;
  };
  return Object.assign(form, { kernel: { form: 3, argument: most } as const });
}

/** ISO text of a year from 1 to 9999, which is also PostgreSQL's. */
export const zonedMomentForm: CopyForm = Object.assign(
  (image: Buffer, from: number, to: CopyData) => {
    if (image[from] === nullStart) return copyNull(from, to);
    if (image[from] !== quote || image[from + 5] !== minus) return -1;
    let year = 0;
    for (let at = from + 1; at < from + 5; at++) {
      const byte = image[at] ?? 0;
      if (!isDigit(byte)) return -1;
      year = year * 10 + byte - 0x30;
    }
    return year === 0 ? -1 : verbatim(image, from, to);
  },
  { kernel: { form: 2, argument: 0 } as const },
);

/** Microseconds since 1970 as `2024-01-01 00:00:00.000001`. */
export const momentForm: CopyForm = (image, from, to) => {
  if (image[from] === nullStart) return copyNull(from, to);
  const number = wholeNumberAt(image, from);
  if (number === undefined) return -1;
  const days = Math.floor(number.value / microsOfDay);
  const date = dateText(days);
  if (date === undefined) return -1;
  to.ascii(`${date} ${timeText(number.value - days * microsOfDay)}`);
  return number.end;
};

/** Days since 1970 as `2024-01-01`. */
export const dateForm: CopyForm = (image, from, to) => {
  if (image[from] === nullStart) return copyNull(from, to);
  const number = wholeNumberAt(image, from);
  const date = number && dateText(number.value);
  if (number === undefined || date === undefined) return -1;
  to.ascii(date);
  return number.end;
};

/** Microseconds since midnight as `18:04:05.678901`. */
export const timeForm: CopyForm = (image, from, to) => {
  if (image[from] === nullStart) return copyNull(from, to);
  const number = wholeNumberAt(image, from);
  if (number === undefined || number.value < 0 || number.value > microsOfDay) return -1;
  to.ascii(timeText(number.value));
  return number.end;
};

/** Base64 as hexadecimal digits. */
export const bytesForm: CopyForm = (image, from, to) => {
  if (image[from] === nullStart) return copyNull(from, to);
  if (image[from] !== quote) return -1;
  let at = from + 1;
  while (isBase64(image[at] ?? 0)) at++;
  const length = at - from - 1;
  if (image[at] !== quote || length % 4 !== 0) return -1;
  const bytes = Buffer.from(image.toString("latin1", from + 1, at), "base64");
  to.ascii("\\\\x");
  to.length += to.bytes.write(bytes.toString("hex"), to.length, "latin1");
  return at + 1;
};

const microsOfDay = 86_400_000_000;
const millisOfDay = 86_400_000;
/** Of the years that ISO writes with four digits, in days since 1970. */
const firstDay = -719_162;
const lastDay = 2_932_896;

function dateText(days: number): string | undefined {
  if (days < firstDay || days > lastDay) return undefined;
  return new Date(days * millisOfDay).toISOString().slice(0, 10);
}

function timeText(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000);
  const [hour, minute, second] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const clock = [hour, minute, second].map((part) => String(part).padStart(2, "0")).join(":");
  const fraction = micros - seconds * 1_000_000;
  return fraction === 0 ? clock : `${clock}.${String(fraction).padStart(6, "0")}`;
}

/** Undefined for anything else, and for numbers that a float does not hold exactly. */
function wholeNumberAt(
  image: Buffer,
  from: number,
): { readonly value: number; readonly end: number } | undefined {
  const negative = image[from] === minus;
  const start = negative ? from + 1 : from;
  let value = 0;
  let end = start;
  for (; isDigit(image[end] ?? 0); end++) value = value * 10 + ((image[end] ?? 0) - 0x30);
  const next = image[end];
  if (end === start || !Number.isSafeInteger(value) || (next !== 0x2c && next !== 0x7d)) return undefined;
  return { value: negative ? -value : value, end };
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** `A`–`Z`, `a`–`z`, digits, `+`, `/` and the padding. */
function isBase64(byte: number): boolean {
  return (
    isDigit(byte) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    byte === 0x2b ||
    byte === 0x2f ||
    byte === 0x3d
  );
}
