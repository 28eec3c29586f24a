import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

/** Changes as a shop makes them, until told to stop. */
export interface Load {
  /** Transactions so far. */
  readonly transactions: number;
  /** Aborted, with the error as reason, when the load breaks; `stop` then rejects with it. */
  readonly broken: AbortSignal;
  /** Resolves when the last transaction has ended; rejects with what broke the load. */
  stop(): Promise<void>;
}

const clients = 2;
/** Between transactions of one client: a steady load, not the most that the machine can do. */
const pauseMs = 8;

/** One kind of transaction: how many of a hundred, and its statements. */
interface Kind {
  readonly share: number;
  readonly statements: readonly string[];
}

const someUser = "(SELECT floor(random() * max(id))::bigint + 1 FROM shop.users)";
/** The first at or after a random place; orders whose id was changed are far away and count separately. */
const someOrder = `(SELECT id FROM shop.orders
  WHERE id >= (SELECT random() * max(id) FROM shop.orders WHERE id < 1000000000) ORDER BY id LIMIT 1)`;

const kinds: readonly Kind[] = [
  {
    share: 40,
    statements: [
      `WITH placed AS (
         INSERT INTO shop.orders (user_id, note, discount, parcels)
         SELECT ${someUser}, CASE WHEN random() < 0.3 THEN 'It''s "urgent" – grüße 🚚' END, round((random() * 50)::numeric, 2),
                ARRAY[(random() * 100)::int, NULL, 7]
         RETURNING id)
       INSERT INTO shop.order_items (order_id, line, product, quantity, unit_price, details)
       SELECT id, line, 'Product ' || line, 1 + (random() * 9)::int, round((random() * 1000)::numeric, 2),
              jsonb_build_object('gift', random() < 0.1, 'codes', jsonb_build_array(line, NULL, 'x'))
         FROM placed, generate_series(1, 6) line`,
    ],
  },
  {
    share: 12,
    statements: [
      `INSERT INTO shop.users (name, tags, preferences, born_on)
       SELECT 'User ' || md5(random()::text), ARRAY['new', ''], '{"theme": "light"}', date '1950-01-01' + (random() * 20000)::int
         FROM generate_series(1, 5)`,
    ],
  },
  {
    share: 20,
    statements: [
      `UPDATE shop.orders SET state = 'paid', discount = NULL WHERE id = ${someOrder}`,
      `UPDATE shop.order_items SET quantity = quantity + 1 WHERE order_id = ${someOrder}`,
    ],
  },
  {
    // Most biographies stay as they are: the log then does not hold them.
    share: 14,
    statements: [
      `UPDATE shop.users SET updated_at = clock_timestamp(), status = 'blocked' WHERE id % 1000 = (random() * 999)::int`,
    ],
  },
  { share: 4, statements: [`UPDATE shop.users SET biography = shop.long_text() WHERE id = ${someUser}`] },
  {
    share: 6,
    statements: [
      `DELETE FROM shop.orders WHERE id = ${someOrder}`,
      `DELETE FROM shop.users WHERE id = ${someUser}`,
    ],
  },
  {
    // A new key, for the order and, by cascade, for its items.
    share: 2,
    statements: [`UPDATE shop.orders SET id = id + 1000000000 WHERE id = ${someOrder} AND id < 1000000000`],
  },
  {
    share: 2,
    statements: [
      // Deleted and back in one transaction, under the same key.
      `WITH gone AS (DELETE FROM shop.users WHERE id = ${someUser} RETURNING *)
       SELECT set_config('demo.user', coalesce((SELECT id::text FROM gone), ''), true)`,
      `INSERT INTO shop.users (id, name) SELECT nullif(current_setting('demo.user'), '')::bigint, 'Returned'
        WHERE current_setting('demo.user') <> ''`,
    ],
  },
];

export function startLoad(primaryUrl: string): Load {
  const state = { transactions: 0, stopped: false };
  const running = Promise.all(Array.from({ length: clients }, () => work(primaryUrl, state)));
  const breaking = new AbortController();
  running.catch((error: unknown) => breaking.abort(error));
  return {
    broken: breaking.signal,
    get transactions() {
      return state.transactions;
    },
    async stop() {
      state.stopped = true;
      await running;
    },
  };
}

async function work(primaryUrl: string, state: { transactions: number; stopped: boolean }): Promise<void> {
  const client = new pg.Client({ connectionString: primaryUrl });
  // A connection that breaks between two statements fails the next one; without a listener it would end the process.
  client.on("error", () => undefined);
  await client.connect();
  try {
    while (!state.stopped) {
      await transact(client, chooseKind());
      state.transactions++;
      await sleep(pauseMs);
    }
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function transact(client: pg.Client, kind: Kind): Promise<void> {
  try {
    await client.query("BEGIN");
    for (const statement of kind.statements) await client.query(statement);
    await client.query("COMMIT");
  } catch (error) {
    // On a connection that is gone, the first error tells more.
    await client.query("ROLLBACK").catch(() => undefined);
    if (!isExpected(error)) throw error;
  }
}

/** Two clients that change the same rows: a deadlock, or a key or parent that the other has just taken away. */
function isExpected(error: unknown): boolean {
  return error instanceof pg.DatabaseError && ["40P01", "23505", "23503"].includes(error.code ?? "");
}

function chooseKind(): Kind {
  const total = kinds.reduce((sum, kind) => sum + kind.share, 0);
  let rest = Math.random() * total;
  for (const kind of kinds) {
    rest -= kind.share;
    if (rest < 0) return kind;
  }
  return { share: 0, statements: [] };
}
