-- The highest position of a snapshot's row that the shard has applied: changes of transactions that were open while the snapshot was
-- taken are newer, though they were logged below it.
ALTER TABLE sluice.shard ADD COLUMN snapshot_position bigint NOT NULL DEFAULT 0;
