import { expect, test } from "vitest";
import {
  caughtUp,
  createStage,
  fields,
  placeholder,
  type Stage,
  type TestChange,
} from "../support/replay-stage.ts";
import { runSluice, startSluice } from "../support/sluice-process.ts";

/**
 * Looks at each row that a transaction wrote when that commits, which is when others see it, and notes what went back: a row whose
 * position fell, one that was deleted and is there again with a position from before, one that an older delete took. A delete that
 * found no row is done again soon after (`missed`), since an insert may have run beside it.
 */
const watched = `
  CREATE TABLE seen (id int PRIMARY KEY, position bigint NOT NULL, gone boolean NOT NULL);
  CREATE TABLE went_back (op text, id int, seen bigint, now bigint);
  CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    row_id int := coalesce(NEW.id, OLD.id);
    last seen;
    now bigint;
    deleted bigint;
  BEGIN
    SELECT * INTO last FROM seen WHERE id = row_id FOR UPDATE;
    SELECT _sluice_lsn INTO now FROM docs WHERE id = row_id;
    SELECT position INTO deleted FROM sluice.tombstone
      WHERE table_name = 'public.docs' AND key = format('{"id":%s}', row_id) AND (now IS NULL OR missed IS NULL);
    IF now IS NULL AND deleted IS NULL OR coalesce(now, deleted) < last.position
      OR now IS NOT NULL AND (now <= deleted OR last.gone AND now = last.position)
    THEN INSERT INTO went_back VALUES (TG_OP, row_id, greatest(last.position, deleted), now);
    END IF;
    INSERT INTO seen VALUES (row_id, coalesce(now, deleted, 0), now IS NULL)
      ON CONFLICT (id) DO UPDATE SET position = EXCLUDED.position, gone = EXCLUDED.gone;
    RETURN NULL;
  END $$;
  CREATE CONSTRAINT TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON docs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch();
  ALTER TABLE docs ENABLE ALWAYS TRIGGER watch`;

type Model = Map<number, { title: string; body: string }>;

/** Changes as the primary would make them, one after the other. */
function loadOf({ redis, streams }: Stage, model: Model): (changes: number) => Promise<void> {
  let position = 0;
  return async (changes) => {
    for (let done = 0; done < changes; done += 40) {
      const pipeline = redis.pipeline();
      for (let index = 0; index < 40; index++) {
        const id = Math.floor(Math.random() * 90);
        const stream = streams[id % streams.length] ?? "";
        pipeline.xadd(stream, "*", ...fields(nextChange(model, id, ++position)));
      }
      await pipeline.exec();
    }
  };
}

test("everything replayed twice while a load is applied: no row goes back at any moment, and the end is the load's end", async () => {
  await using stage = await createStage({ batchEntries: 50 }, 3);
  const { db, env } = stage;
  await db.query(watched);
  await using sluice = await startSluice(env);
  await sluice.waitReady();
  const model: Model = new Map();
  const load = loadOf(stage, model);
  await load(1_200);
  const replayed = new AbortController();
  const loading = (async () => {
    // The service keeps up, so that what is replayed was applied, is being applied, or is yet to be.
    for (; !replayed.signal.aborted; await caughtUp(stage)) await load(200);
  })();
  loading.catch(() => undefined);
  const all = ["replay", "--all-streams", "--from", "0"];
  const replays = [await runSluice(all, env), await runSluice(all, env)];
  replayed.abort();
  await loading;
  expect(replays).toMatchObject([{ code: 0 }, { code: 0 }]);
  expect(await db.query("SELECT * FROM went_back")).toEqual([]);
  const expected = [...model].sort(([left], [right]) => left - right).map(([id, row]) => ({ id, ...row }));
  expect(await stage.docs()).toEqual(expected);
  expect(await db.query("SELECT DISTINCT state FROM sluice.replay")).toEqual([{ state: "done" }]);
  const states = await db.query("SELECT DISTINCT state, last_error FROM sluice.shard");
  expect(states).toEqual([{ state: "running", last_error: null }]);
  // The watch would have seen each of the three.
  for (const back of [
    "UPDATE docs SET _sluice_lsn = 0 WHERE id = (SELECT min(id) FROM docs)",
    "INSERT INTO docs SELECT id, 'back', '', position - 1 FROM seen WHERE gone LIMIT 1",
    // Not the row that the insert brought back, which is older than its tombstone.
    "DELETE FROM docs WHERE id = (SELECT max(id) FROM docs WHERE _sluice_lsn > 1 AND title <> 'back')",
  ])
    await db.query(back);
  const told = await db.query<{ op: string }>("SELECT op FROM went_back");
  expect(told.map(({ op }) => op)).toEqual(["UPDATE", "INSERT", "DELETE"]);
}, 120_000);

/** An insert, update or delete as the primary would make it; large values that do not change are left out. */
function nextChange(model: Model, id: number, position: number): TestChange {
  const row = model.get(id);
  const title = `title ${position}`;
  if (row === undefined) {
    model.set(id, { title, body: `body ${position}` });
    return { op: "c", id, position, after: { title, body: `body ${position}` } };
  }
  if (Math.random() < 0.3) {
    model.delete(id);
    return { op: "d", id, position };
  }
  const keeps = Math.random() < 0.4;
  const body = keeps ? row.body : `body ${position}`;
  model.set(id, { title, body });
  return { op: "u", id, position, after: { title, body: keeps ? placeholder : body } };
}
