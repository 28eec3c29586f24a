-- Sluice's bookkeeping in the read database. All times are the database's own.

-- One row per shard (Redis stream). The checkpoint moves in the transaction that writes the rows it stands for,
-- by a compare-and-set on (epoch, checkpoint); so this row, not Redis, says what is applied.
CREATE TABLE sluice.shard (
  pipeline        text        NOT NULL,
  stream          text        NOT NULL,
  checkpoint      text,                          -- id of the last applied entry; NULL: nothing was ever applied
  entries         bigint      NOT NULL DEFAULT 0, -- entries of the stream at or before the checkpoint, removed ones included
  position        bigint      NOT NULL DEFAULT 0, -- highest position applied
  changes_applied bigint      NOT NULL DEFAULT 0,
  changes_skipped bigint      NOT NULL DEFAULT 0,
  owner           text,
  epoch           bigint      NOT NULL DEFAULT 0, -- fencing number: rises whenever the shard is taken
  lease_until     timestamptz,
  state           text        NOT NULL DEFAULT 'free', -- free, running, retrying, stopped
  last_error      jsonb,                         -- {code, message, place, remedy, at}
  updated_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (pipeline, stream)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Registered = running: a member adds its row when it starts and removes it when it has drained.
CREATE TABLE sluice.member (
  pipeline   text        NOT NULL,
  name       text        NOT NULL,
  instance   uuid        NOT NULL, -- tells two processes of one name apart
  host       text        NOT NULL,
  version    text        NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  last_seen  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (pipeline, name)
);

-- The position of a deleted key: an older insert must not bring the row back.
CREATE TABLE sluice.tombstone (
  table_name text        NOT NULL, -- schema.table as Debezium's source block names it, joined by a dot
  key        text        NOT NULL, -- the key as Debezium wrote it
  position   bigint      NOT NULL,
  deleted_at timestamptz NOT NULL DEFAULT now(),
  image      json,                 -- when the key changed: the row's large values, which the insert of the new key may lack
  PRIMARY KEY (table_name, key)
);
CREATE INDEX tombstone_position ON sluice.tombstone (table_name, position);
CREATE INDEX tombstone_deleted_at ON sluice.tombstone (deleted_at);

-- The position of a table's last TRUNCATE: older rows must not come back.
CREATE TABLE sluice.truncation (
  table_name   text        PRIMARY KEY,
  position     bigint      NOT NULL,
  truncated_at timestamptz NOT NULL DEFAULT now()
);
