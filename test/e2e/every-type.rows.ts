/** The columns of `every_type` in every-type.sql that can be given a value. */
export const everyColumn = `a_bool, a_int2, a_int4, a_int8, a_oid, a_float4, a_float8, a_numeric, a_big_numeric, a_money, a_text, a_varchar,
  a_char, a_citext, a_bytea, a_bit1, a_bit5, a_bit70, a_varbit, a_date, a_time, a_time3, a_timetz, a_timestamp, a_timestamp3,
  a_timestamptz, a_interval, a_json, a_jsonb, a_xml, a_uuid, a_inet, a_cidr, a_macaddr, a_macaddr8, a_mood, a_positive, a_point,
  a_tsvector, a_hstore, a_ltree, a_int4range, a_int8range, a_numrange, a_tsrange, a_tstzrange, a_daterange, ints, bigs, texts,
  numerics, stamps, plain_stamps, uuids, dates, bools, byteas, jsonbs, floats, moods, inets`;

/** Ordinary values, extreme ones, and empty ones; what the origin cannot send right is left out. */
export const everyTypeRows: readonly string[] = [
  `true, 1, 2, 9007199254740993, 42, 1.1, 3.141592653589793, 12.30, 123456789012345678901234567890.123456789, 12.34, 'text', 'varchar',
  'char', 'CiText', '\\xdeadbeef', '1', '00101', repeat('01', 35)::bit(70), '1011', '2024-01-02', '03:04:05.678901', '03:04:05.678',
  '03:04:05.678901+00', '2024-01-02 03:04:05.678901', '2024-01-02 03:04:05.678', '2024-01-02 03:04:05.678901+09',
  '1 year 2 months 3 days 04:05:06.789', '{"a": 1.10, "b": [null]}', '{"a": 1.10}', '<a>b</a>', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
  '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', 'it''s ok', 7, '(1.5,-2)', 'a fat cat', 'a=>1, "b c"=>NULL',
  'Top.Science', '[1,5)', '[1,9000000000)', '(1.5,2.5]', '[2024-01-01,2024-02-01)', '[2024-01-01 00:00+00,)', '[2024-01-01,2024-02-01)',
  '{1,NULL,3}', '{9007199254740993}', '{"a,b","",NULL,"\\"q\\""}', '{1.20,NULL}', '{2024-01-02 03:04:05+00}', '{2024-01-02 03:04:05.5}',
  '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{2024-01-02,NULL}', '{t,f,NULL}', '{"\\\\xdead"}', '{"{\\"k\\": 1}"}', '{1.5,NaN,-Infinity}',
  '{sad,HAPPY}', '{10.0.0.1}'`,
  `false, -32768, -2147483648, -9223372036854775808, 4294967295, 'NaN', '-Infinity', -99999999.99, 'NaN', -0.01, '', '', '', '', '', '0', '00000',
  repeat('0', 70)::bit(70), '', '2100-12-31', '00:00:00', '23:59:59.999', '00:00:00+00', 'infinity', '0044-03-15 01:02:03 BC', '-infinity',
  '-5 years -5 months 28 days -03:59:17.622986', 'null', '"\\u00e9"', '<r a="1">&amp;</r>', '00000000-0000-0000-0000-000000000000', '::1', '::/0',
  'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff', 'HAPPY', 999, '(0,0)', '', '', '', 'empty', 'empty', 'empty', 'empty', '(-infinity,infinity)',
  'empty', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'`,
  `NULL, 32767, 2147483647, 9223372036854775807, 0, '-0', '-0', 99999999.99, 'Infinity', 92233720368547758.07, 'ünïcödé 🎉 "quotes" ''single'' \\ back', E'tab\\tnew\\nline',
  'äöü', 'ÀB', '\\x00', '1', '11111', repeat('1', 70)::bit(70), '11111111111111111111', 'infinity', '24:00:00', '12:00', '12:00:00+00', '-infinity',
  '1969-12-31 23:59:59.999', '294276-12-31 23:59:59.999999+00', '-1 microsecond', '{}', '[]', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`,
  `NULL, NULL, NULL, NULL, NULL, 'Infinity', 1e308, 0, '-Infinity', 0, '__debezium', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '-infinity', NULL, NULL, NULL,
  '2024-02-29 00:00', NULL, '0044-03-15 12:00:00+00 BC', '0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`,
];

/** Wrong in a snapshot, and in arrays always, at the origin; right when they are streamed: dates before Christ. */
export const streamedRows: readonly string[] = [
  "(a_date) VALUES ('0044-03-15 BC')",
  "(a_date) VALUES ('0001-12-31 BC')",
  "(a_date) VALUES ('4713-01-01 BC')",
];
