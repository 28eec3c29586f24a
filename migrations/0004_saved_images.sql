-- What the delete of an old key saved for the insert of the new one, beside the tombstone: that knows only the key's last delete, and
-- a key may be given up more than once before the inserts come.
CREATE TABLE sluice.saved_image (
  table_name text        NOT NULL, -- as in sluice.tombstone
  key        text        NOT NULL, -- the old key as Debezium wrote it
  logged     bigint      NOT NULL, -- place of the key change in the primary's log, the same for both its halves
  image      json,                 -- the row's large values; NULL: there was no row
  saved_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (table_name, key, logged)
);
CREATE INDEX saved_image_saved_at ON sluice.saved_image (saved_at);

INSERT INTO sluice.saved_image (table_name, key, logged, image, saved_at)
  SELECT table_name, key, position, image, deleted_at FROM sluice.tombstone WHERE image IS NOT NULL;

ALTER TABLE sluice.tombstone DROP COLUMN image;
