import type { CopyForm } from "../copy-text.ts";
import { dateForm, momentForm, timeForm, zonedMomentForm } from "./copy-forms.ts";
import type { ColumnType, ValueCodec } from "./value-codec.ts";

/*
 * Debezium with time.precision.mode=microseconds: date as days, time and timestamp as microseconds, both since the epoch;
 * timestamptz and timetz as ISO text in UTC. Infinity arrives as the numbers below, measured on 3.6.1.Final; the two of each
 * date differ because snapshots and streaming convert differently.
 */

/** COPY would round to a column's precision. */
function copyIfWhole(type: ColumnType, copy: CopyForm): Pick<ValueCodec, "copy"> {
  return type.sql.includes("(") ? {} : { copy };
}

/** Days and microseconds are added apart: multiplying an interval goes through a float, exact only below 2^53. */
function timestamp(type: ColumnType): ValueCodec {
  return {
    ...copyIfWhole(type, momentForm),
    recordType: "bigint",
    expression: (ref) =>
      `(CASE ${ref} WHEN 9223372036825200000 THEN 'infinity'::timestamp WHEN -9223372036832400000 THEN '-infinity'::timestamp` +
      ` ELSE 'epoch'::timestamp + (${ref} / 86400000000) * '1 day'::interval` +
      ` + (${ref} % 86400000000) * '1 microsecond'::interval END)::${type.sql}`,
  };
}

function date(): ValueCodec {
  return {
    copy: dateForm,
    recordType: "int",
    expression: (ref) =>
      `(CASE WHEN ${ref} IN (-622191234, -2147472692) THEN 'infinity'::date` +
      ` WHEN ${ref} IN (-625821272, -2147472691) THEN '-infinity'::date ELSE '1970-01-01'::date + ${ref} END)`,
  };
}

/** 24:00:00 is a time of its own, which adding would turn into 00:00:00. */
function time(type: ColumnType): ValueCodec {
  return {
    ...copyIfWhole(type, timeForm),
    recordType: "bigint",
    expression: (ref) =>
      `(CASE ${ref} WHEN 86400000000 THEN '24:00:00'::time` +
      ` ELSE '00:00:00'::time + ${ref} * '1 microsecond'::interval END)::${type.sql}`,
  };
}

/** Years above 9999 come with a plus sign, years before Christ as ISO's year 0 and below; PostgreSQL reads neither. */
function timestamptz(type: ColumnType): ValueCodec {
  return {
    ...copyIfWhole(type, zonedMomentForm),
    recordType: "text",
    expression: (ref) =>
      `(CASE WHEN left(${ref}, 1) = '+' THEN substr(${ref}, 2)` +
      ` WHEN left(${ref}, 5) = '0000-' OR left(${ref}, 1) = '-' AND ${ref} <> '-infinity' THEN` +
      ` to_char(1 - substring(${ref} from '^-?[0-9]+')::int, 'FM000000') || substring(${ref} from '^-?[0-9]+(.*)$') || ' BC'` +
      ` ELSE ${ref} END)::${type.sql}`,
  };
}

export const timeCodecs: Readonly<Record<string, (type: ColumnType) => ValueCodec>> = {
  timestamp,
  timestamptz,
  date,
  time,
};
