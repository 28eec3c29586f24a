-- What was seen of the shards' streams: entries that vanish must show although the streams no longer tell.
CREATE TABLE sluice.stream_record (
  pipeline      text   NOT NULL,
  stream        text   NOT NULL,
  -- The highest that maintenance has seen since the shard last began anew. What is below it now was rolled back or made anew.
  last_id       text,
  added         bigint,                      -- entries ever added, removed ones included
  deleted       bigint NOT NULL DEFAULT 0,   -- entries that were deleted from between others before they were applied
  deleted_at    timestamptz,
  began_anew    text,                        -- why all that the stream holds was applied again
  began_anew_at timestamptz,
  PRIMARY KEY (pipeline, stream)
);
