import type { Change, Load } from "./load.ts";
import { ordersTable } from "./orders-table.ts";
import { seededRandom } from "./random.ts";

const table = ordersTable();

/** 70 % updates, 20 % inserts, 10 % deletes. Half of the updates go to the same hundredth of the rows. */
export function mixedLoad(size: number): Load {
  const existing = Math.max(100, Math.floor(size / 3));
  return {
    name: "mixed",
    tables: [table],
    size,
    *existing() {
      for (let id = 1; id <= existing; id++) yield { table, row: table.rowOf(id, 0) };
    },
    changes: () => mixedChanges(size, existing),
  };
}

function* mixedChanges(size: number, existing: number): Generator<Change> {
  const random = seededRandom(2);
  const hot = Math.ceil(existing / 100);
  // The hot rows are the first ids and are never deleted; the others leave and come at the end of this list.
  const cold = Array.from({ length: existing - hot }, (_, index) => hot + 1 + index);
  let nextId = existing + 1;
  for (let version = 1; version <= size; version++) {
    const choice = random();
    const place = Math.floor(random() * cold.length);
    const coldId = cold[place];
    if (choice < 0.2) {
      cold.push(nextId);
      yield { op: "c", table, row: table.rowOf(nextId++, 0) };
    } else if (choice < 0.3 && coldId !== undefined) {
      cold[place] = cold.at(-1) ?? coldId;
      cold.pop();
      yield { op: "d", table, row: table.rowOf(coldId, 0) };
    } else {
      const isHot = choice < 0.65 || coldId === undefined;
      const id = isHot ? 1 + Math.floor(random() * hot) : coldId;
      yield { op: "u", table, row: table.rowOf(id, version) };
    }
  }
}
