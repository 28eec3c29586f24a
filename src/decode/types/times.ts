import type { CopyForm } from "../copy-text.ts";
import type { BinaryForm } from "../kernel/copy.ts";
import { dateBinary, momentBinary, timeBinary, zonedMomentBinary } from "./binary-forms.ts";
import { dateForm, momentForm, timeForm, zonedMomentForm } from "./copy-forms.ts";
import { asSent, exactly, modifiersOf, sameModified } from "./exact.ts";
import type { TypeManual } from "./type-manual.ts";
import type { ColumnType, ValueCodec } from "./value-codec.ts";

/*
 * Debezium with time.precision.mode=microseconds: date as days, time and timestamp as microseconds, both since the epoch;
 * timestamptz and timetz as ISO text in UTC. Infinity arrives as the numbers below, measured on 3.6.1.Final; the two of each
 * date differ because snapshots and streaming convert differently.
 */

/** How many digits behind the second the type keeps, when it does not keep all. */
function precisionOf(type: ColumnType): number | undefined {
  const [precision = mostDigits] = modifiersOf(type);
  return precision < mostDigits ? precision : undefined;
}

const mostDigits = 6;

/** COPY would round to the column's precision. */
function copyIfWhole(
  type: ColumnType,
  copy: CopyForm,
  binary: BinaryForm,
): Pick<ValueCodec, "copy" | "binary"> {
  return precisionOf(type) === undefined ? { copy, binary } : {};
}

/** Of microseconds: that the type keeps all of them. */
function keeps(type: ColumnType, ref: string): string {
  const precision = precisionOf(type);
  return precision === undefined ? "" : `${ref} % ${10 ** (mostDigits - precision)} = 0`;
}

/** Days and microseconds are added apart: multiplying an interval goes through a float, exact only below 2^53. */
function timestamp(type: ColumnType): ValueCodec {
  const finite = (ref: string): string =>
    `('epoch'::timestamp + (${ref} / 86400000000) * '1 day'::interval` +
    ` + (${ref} % 86400000000) * '1 microsecond'::interval)::${type.sql}`;
  return {
    ...copyIfWhole(type, momentForm, momentBinary),
    recordType: "bigint",
    expression: (ref) => {
      const when = keeps(type, ref);
      return (
        `(CASE ${ref} WHEN 9223372036825200000 THEN 'infinity'::${type.sql} WHEN -9223372036832400000 THEN '-infinity'::${type.sql}` +
        ` ELSE ${when === "" ? finite(ref) : exactly(type, { ref, when, value: finite(ref) })} END)`
      );
    },
  };
}

function date(): ValueCodec {
  return {
    copy: dateForm,
    binary: dateBinary,
    recordType: "int",
    expression: (ref) =>
      `(CASE WHEN ${ref} IN (-622191234, -2147472692) THEN 'infinity'::date` +
      ` WHEN ${ref} IN (-625821272, -2147472691) THEN '-infinity'::date ELSE '1970-01-01'::date + ${ref} END)`,
  };
}

/** 24:00:00 is a time of its own, which adding would turn into 00:00:00, as it would what is no time of a day. */
function time(type: ColumnType): ValueCodec {
  return {
    ...copyIfWhole(type, timeForm, timeBinary),
    recordType: "bigint",
    expression: (ref) => {
      const kept = keeps(type, ref);
      const when = `${ref} BETWEEN 0 AND 86399999999${kept === "" ? "" : ` AND ${kept}`}`;
      const value = `('00:00:00'::time + ${ref} * '1 microsecond'::interval)::${type.sql}`;
      return `(CASE ${ref} WHEN 86400000000 THEN '24:00:00'::${type.sql} ELSE ${exactly(type, { ref, when, value })} END)`;
    },
  };
}

/**
 * Years above 9999 come with a plus sign, years before Christ as ISO's year 0 and below; PostgreSQL reads neither. What is no longer than
 * date, time, as many digits as are kept and a Z need not be read twice to know that none is lost.
 */
function timestamptz(type: ColumnType): ValueCodec {
  const value = (ref: string, sql: string): string =>
    `(CASE WHEN left(${ref}, 1) = '+' THEN substr(${ref}, 2)` +
    ` WHEN left(${ref}, 5) = '0000-' OR left(${ref}, 1) = '-' AND ${ref} <> '-infinity' THEN` +
    ` to_char(1 - substring(${ref} from '^-?[0-9]+')::int, 'FM000000') || substring(${ref} from '^-?[0-9]+(.*)$') || ' BC'` +
    ` ELSE ${ref} END)::${sql}`;
  const precision = precisionOf(type);
  return {
    ...copyIfWhole(type, zonedMomentForm, zonedMomentBinary),
    recordType: "text",
    expression: (ref) => {
      const modified = value(ref, type.sql);
      if (precision === undefined) return modified;
      const short = `octet_length(${ref}) <= ${"2024-01-01T18:04:05.Z".length + precision}`;
      const when = `${short} OR ${value(ref, "timestamptz")} = ${modified}`;
      return exactly(type, { ref, when, value: modified });
    },
  };
}

function timetz(type: ColumnType): ValueCodec {
  return precisionOf(type) === undefined ? asSent(type) : sameModified(type);
}

/** Its modifiers are digits of the second, fields, or both. */
function interval(type: ColumnType): ValueCodec {
  return type.sql === "interval" ? asSent(type) : sameModified(type);
}

export const timeCodecs: Readonly<Record<string, (type: ColumnType) => ValueCodec>> = {
  timestamp,
  timestamptz,
  date,
  time,
  timetz,
  interval,
};

const refused = "; digits of the second that the column does not keep are refused";

export const timeManuals: readonly TypeManual[] = [
  {
    names: ["date"],
    sent: "days since 1970-01-01; infinity as numbers of its own",
    written: "as it is",
    lost: "before Christ, rows of a snapshot have another day; streamed ones are right",
    small: true,
  },
  {
    names: ["time"],
    sent: "microseconds since midnight",
    written: `as it is${refused}, as is what is no time of a day`,
    small: true,
  },
  {
    names: ["timetz"],
    title: "time with time zone",
    sent: '`"18:04:05.678901Z"`',
    written: `the same time in UTC${refused}`,
    lost: "the offset",
    small: true,
  },
  {
    names: ["timestamp"],
    sent: "microseconds since 1970-01-01; infinity as numbers of its own",
    written: `as it is${refused}`,
    lost: "the last microseconds of the year 294276, which arrive as years before Christ",
    small: true,
  },
  {
    names: ["timestamptz"],
    title: "timestamp with time zone",
    sent: '`"2024-01-01T18:04:05.678901Z"`, `"+294276-12-31T…"`, `"-0043-03-15T…"` for 44 BC; `"infinity"`, `"-infinity"`',
    written: `as it is${refused}`,
    small: true,
  },
  {
    names: ["interval"],
    sent: '`"P1Y2M3DT4H5M6.789S"`',
    written: "as it is; digits and fields that the column does not keep are refused",
    small: true,
  },
];
