import { lostCommit, type FaultProxy } from "../support/fault-proxy.ts";
import type { FaultKind } from "./fault-kinds.ts";
import type { PlannedFault } from "./plan.ts";

type Store = "redis" | "database";

interface LinkFault {
  readonly holdMs: readonly [number, number];
  readonly begin: (proxy: FaultProxy, fault: PlannedFault, store: Store) => unknown;
}

const faults: Readonly<Record<string, LinkFault>> = {
  cut: { holdMs: [0, 0], begin: (proxy) => proxy.cut() },
  refused: { holdMs: [300, 4_000], begin: (proxy) => proxy.refuse() },
  frozen: { holdMs: [300, 5_000], begin: (proxy) => proxy.freeze() },
  "half open": { holdMs: [0, 0], begin: (proxy) => proxy.strand() },
  slow: { holdMs: [1_500, 5_000], begin: (proxy, { roll }) => proxy.delay(10 + Math.round(roll * 110)) },
  "reply lost": {
    holdMs: [1_000, 2_000],
    begin: (proxy, _fault, store) =>
      // Or entries that it never sees.
      void proxy.loseReply(
        store === "database" ? lostCommit : { request: "XREAD", reply: (bytes) => bytes.length > 200 },
      ),
  },
};

function kindOf(stores: readonly Store[], { holdMs, begin }: LinkFault): FaultKind {
  return {
    holdMs,
    claims: ({ member }) => stores.map((store) => `${store} link ${member}`),
    run: async ({ slots }, fault, hold) => {
      const slot = slots[fault.member];
      if (slot === undefined) return;
      for (const store of stores) await begin(slot[store], fault, store);
      await hold();
      for (const store of stores) await slot[store].heal();
    },
  };
}

const toRedis = Object.entries(faults).map(([name, fault]) => [
  `link to Redis ${name}`,
  kindOf(["redis"], fault),
]);
const toDatabase = Object.entries(faults).map(([name, fault]) => [
  `link to PostgreSQL ${name}`,
  kindOf(["database"], fault),
]);
const toBoth = (["refused", "frozen", "half open"] as const).map((name) => [
  `links to both ${name}`,
  kindOf(["redis", "database"], faults[name] ?? { holdMs: [0, 0], begin: () => undefined }),
]);

/** Of one member only; the others reach both stores. */
export const linkFaults: Readonly<Record<string, FaultKind>> = Object.fromEntries([
  ...toRedis,
  ...toDatabase,
  ...toBoth,
]);
