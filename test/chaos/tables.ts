/** What stands in the read database for the run, beside Sluice's own schema. */

/**
 * `account` and `order_line` have whole rows in every change; `document` has a large value that updates and key changes leave out;
 * `event_log` has no key and is an append-only copy.
 */
export const tables = `
  CREATE TABLE public.account (id int PRIMARY KEY, balance int, note text);
  CREATE TABLE public.order_line (order_id int, line int, quantity int, price numeric(12,2), PRIMARY KEY (order_id, line));
  CREATE TABLE public.document (id int PRIMARY KEY, title text, body text);
  CREATE TABLE public.event_log (number int, note text)`;

/** Key columns of each table. */
export const keyedTables = {
  account: ["id"],
  order_line: ["order_id", "line"],
  document: ["id"],
} as const;

/** The tables whose batches a full disk refuses. */
const readTables = [...Object.keys(keyedTables), "event_log"].map((table) => `public.${table}`);
const bookkeeping = ["sluice.shard", "sluice.member", "sluice.tombstone"];

/**
 * Triggers that fire whatever session_replication_role says. What they find is written in the transaction that did it: what was
 * rolled back did not happen.
 */
export const watchSchema = `
  CREATE SCHEMA chaos;
  CREATE TABLE chaos.violation (what text, detail text, at timestamptz DEFAULT clock_timestamp());
  CREATE TABLE chaos.writer (stream text, epoch bigint, member text, PRIMARY KEY (stream, epoch, member));
  CREATE TABLE chaos.seen_error (stream text, code text, count int DEFAULT 1, message text, PRIMARY KEY (stream, code));
  CREATE TABLE chaos.switch (name text PRIMARY KEY);

  CREATE FUNCTION chaos.entry_order(id text) RETURNS numeric[] LANGUAGE sql IMMUTABLE AS
    $$ SELECT string_to_array(id, '-')::numeric[] $$;

  CREATE FUNCTION chaos.watch_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
      new_row jsonb := to_jsonb(NEW);
      row_key text := (SELECT '{' || string_agg('"' || c || '":' || (new_row ->> c), ',' ORDER BY n) || '}'
                   FROM unnest(TG_ARGV) WITH ORDINALITY AS k(c, n));
      deleted bigint;
    BEGIN
      IF TG_OP = 'UPDATE' THEN
        IF NEW._sluice_lsn IS NULL OR NEW._sluice_lsn < OLD._sluice_lsn THEN
          INSERT INTO chaos.violation VALUES ('a row went back',
            format('%s %s from %s to %s', TG_TABLE_NAME, row_key, OLD._sluice_lsn, NEW._sluice_lsn));
        END IF;
      END IF;
      SELECT s.position INTO deleted FROM sluice.tombstone s
        WHERE s.table_name = 'public.' || TG_TABLE_NAME AND s.key = row_key AND s.position > NEW._sluice_lsn;
      IF FOUND THEN
        INSERT INTO chaos.violation VALUES ('a deleted row came back',
          format('%s %s of %s, deleted at %s', TG_TABLE_NAME, row_key, NEW._sluice_lsn, deleted));
      END IF;
      RETURN NULL;
    END $$;

  CREATE FUNCTION chaos.watch_shard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      IF NEW.epoch < OLD.epoch THEN
        INSERT INTO chaos.violation VALUES ('an epoch fell', format('%s from %s to %s', NEW.stream, OLD.epoch, NEW.epoch));
      END IF;
      IF chaos.entry_order(NEW.checkpoint) < chaos.entry_order(OLD.checkpoint) THEN
        INSERT INTO chaos.violation
          VALUES ('a checkpoint fell', format('%s from %s to %s', NEW.stream, OLD.checkpoint, NEW.checkpoint));
      END IF;
      IF NEW.checkpoint IS DISTINCT FROM OLD.checkpoint THEN
        INSERT INTO chaos.writer VALUES (NEW.stream, NEW.epoch, current_setting('application_name')) ON CONFLICT DO NOTHING;
      END IF;
      IF NEW.last_error IS DISTINCT FROM OLD.last_error AND NEW.last_error IS NOT NULL THEN
        INSERT INTO chaos.seen_error AS s (stream, code, message)
          VALUES (NEW.stream, NEW.last_error ->> 'code', NEW.last_error ->> 'message')
          ON CONFLICT (stream, code) DO UPDATE SET count = s.count + 1;
      END IF;
      RETURN NULL;
    END $$;
  CREATE TRIGGER chaos_watch AFTER UPDATE ON sluice.shard FOR EACH ROW EXECUTE FUNCTION chaos.watch_shard();
  ALTER TABLE sluice.shard ENABLE ALWAYS TRIGGER chaos_watch;

  CREATE FUNCTION chaos.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      IF EXISTS (SELECT FROM chaos.switch WHERE name IN (TG_ARGV[0], TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME)) THEN
        RAISE EXCEPTION 'could not extend file "base/1/1": No space left on device' USING ERRCODE = '53100';
      END IF;
      RETURN NULL;
    END $$;
  ${[...readTables, ...bookkeeping]
    .map(
      (table) => `
  CREATE TRIGGER chaos_refuse BEFORE INSERT OR UPDATE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION chaos.refuse('everything');
  ALTER TABLE ${table} ENABLE ALWAYS TRIGGER chaos_refuse;`,
    )
    .join("")}
  ${Object.entries(keyedTables)
    .map(
      ([table, key]) => `
  CREATE TRIGGER chaos_watch AFTER INSERT OR UPDATE ON public.${table} FOR EACH ROW
    EXECUTE FUNCTION chaos.watch_row(${key.map((column) => `'${column}'`).join(", ")});
  ALTER TABLE public.${table} ENABLE ALWAYS TRIGGER chaos_watch;`,
    )
    .join("")}`;
