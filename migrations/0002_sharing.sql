-- Members that share shards, generations of streams, a primary that was restored, replays.

ALTER TABLE sluice.shard
  -- Streams that one router setting writes; those of a later generation wait until the earlier ones are applied to their ends.
  ADD COLUMN generation      int    NOT NULL DEFAULT 1,
  -- Set once nothing needs an earlier generation's stream any more; such a shard is not taken again.
  ADD COLUMN retired_at      timestamptz,
  -- The newest transaction that the shard has applied: where the primary's log stood before it, and when it was committed there.
  -- A later commit from an earlier place tells a primary that was restored into a new cluster.
  ADD COLUMN commit_lsn      bigint NOT NULL DEFAULT 0,
  ADD COLUMN committed_at_ms bigint NOT NULL DEFAULT 0;

-- `running`; `leaving` while it drains; `cut-off` while it cannot reach Redis: the latter two want no shards.
ALTER TABLE sluice.member ADD COLUMN state text NOT NULL DEFAULT 'running';

-- What an operator confirmed: `gap` (entries that were lost), `rewound-primary` (its log positions start low again).
CREATE TABLE sluice.decision (
  id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pipeline   text        NOT NULL,
  kind       text        NOT NULL,
  stream     text,
  detail     jsonb       NOT NULL,
  decided_by text        NOT NULL,
  decided_at timestamptz NOT NULL DEFAULT now()
);

-- What is added to the positions of a shard's entries from `from_entry` on, until the next row; nothing before the first.
CREATE TABLE sluice.position_base (
  pipeline    text        NOT NULL,
  stream      text        NOT NULL,
  from_entry  text        NOT NULL,
  base        bigint      NOT NULL,
  decision_id bigint      NOT NULL REFERENCES sluice.decision,
  switched_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (pipeline, stream, from_entry)
);

-- Set where a delete found no row. A transaction that ran beside it may have inserted the row unseen, so the delete is done again once
-- all of those have ended: 0 until it is seen that the delete has committed, then the first transaction id of those that began later.
ALTER TABLE sluice.tombstone ADD COLUMN missed xid8;
CREATE INDEX tombstone_missed ON sluice.tombstone (table_name) WHERE missed IS NOT NULL;

-- For the newest position of a table only. As an index on the plain name it was taken for looking up keys too, where each look goes
-- through all tombstones of the table: until the table's statistics are gathered, PostgreSQL thinks that one is as good as the other.
DROP INDEX sluice.tombstone_position;
CREATE INDEX tombstone_position ON sluice.tombstone ((table_name || ''), position);

-- The Redis server as last seen; another replication id means that it was restarted or that a replica took over.
CREATE TABLE sluice.redis_server (
  pipeline       text        PRIMARY KEY,
  replication_id text        NOT NULL,
  changed_at     timestamptz,
  seen_at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sluice.replay (
  id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pipeline   text        NOT NULL,
  stream     text        NOT NULL,
  from_entry text        NOT NULL,
  to_entry   text        NOT NULL,
  tables     text[]      NOT NULL,           -- empty: all
  started_by text        NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at   timestamptz,
  state      text        NOT NULL DEFAULT 'running', -- running, done, failed, interrupted
  entries    bigint      NOT NULL DEFAULT 0,
  written    bigint      NOT NULL DEFAULT 0,
  stale      bigint      NOT NULL DEFAULT 0,
  detail     jsonb                            -- counts by table, what could not be restored, the error
);
