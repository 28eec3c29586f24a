CREATE EXTENSION IF NOT EXISTS hstore;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE EXTENSION IF NOT EXISTS ltree;
CREATE SCHEMA "Odd Names";
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'HAPPY');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN small_positive AS positive CHECK (VALUE < 1000);
CREATE TABLE public.marker (id uuid PRIMARY KEY);
CREATE TABLE every_type (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  a_bool bool, a_int2 int2, a_int4 int4, a_int8 int8, a_oid oid,
  a_float4 float4, a_float8 float8, a_numeric numeric(10,2), a_big_numeric numeric, a_money money,
  a_text text, a_varchar varchar(40), a_char char(6), a_citext citext, a_defaulted text DEFAULT 'a default',
  a_bytea bytea, a_bit1 bit(1), a_bit5 bit(5), a_bit70 bit(70), a_varbit varbit(20),
  a_date date, a_time time, a_time3 time(3), a_timetz timetz, a_timestamp timestamp, a_timestamp3 timestamp(3), a_timestamptz timestamptz,
  a_interval interval, a_json json, a_jsonb jsonb, a_xml xml, a_uuid uuid, a_inet inet, a_cidr cidr, a_macaddr macaddr,
  a_macaddr8 macaddr8, a_mood mood, a_positive small_positive, a_point point, a_tsvector tsvector, a_hstore hstore, a_ltree ltree,
  a_int4range int4range, a_int8range int8range, a_numrange numrange, a_tsrange tsrange, a_tstzrange tstzrange, a_daterange daterange,
  ints int[], bigs bigint[], texts text[], numerics numeric(10,2)[], stamps timestamptz[], plain_stamps timestamp[], uuids uuid[],
  dates date[], bools bool[], byteas bytea[], jsonbs jsonb[], floats float8[], moods mood[], inets inet[],
  halved int GENERATED ALWAYS AS (a_int4 / 2) STORED
);
CREATE TABLE composite (
  tenant text, code varchar(20), number int, payload text, PRIMARY KEY (number, tenant)
);
CREATE TABLE "Odd Names"."Select" ("Key" text PRIMARY KEY, "Order" int, "quo""ted" text, "with space" jsonb);
CREATE TABLE large (id int PRIMARY KEY, label text, body text, raw bytea, list text[], doc jsonb, numbers int[], tags hstore);
CREATE TABLE log (at timestamptz, line text);
CREATE TYPE pair AS (a int, b text);
CREATE TYPE text_range AS RANGE (SUBTYPE = text);
CREATE TABLE opaque (
  id int PRIMARY KEY, note text, a_path path, a_polygon polygon, a_box box, a_circle circle, a_line line, a_lseg lseg, a_tsquery tsquery, a_lsn pg_lsn,
  a_jsonpath jsonpath, a_multirange int4multirange, spans tstzmultirange, a_pair pair, pairs pair[], a_text_range text_range,
  positives small_positive[]
);
