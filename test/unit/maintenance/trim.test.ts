import fc from "fast-check";
import { expect, test } from "vitest";
import { compareEntryIds } from "../../../src/change/entry-id.ts";
import { entryIdAfter, removesAny, trimBound, type TrimFacts } from "../../../src/maintenance/trim.ts";
import type { GroupFacts } from "../../../src/source/stream-facts.ts";

function group(name: string, lastDeliveredId: string, firstPendingId?: string): GroupFacts {
  return { name, lastDeliveredId, firstPendingId };
}

const facts: TrimFacts = {
  checkpoint: "100-0",
  stream: { lastId: "200-0", groups: [group("sluice", "150-0", "101-0")] },
  group: "sluice",
  retained: undefined,
};

function withGroups(...groups: readonly GroupFacts[]): TrimFacts {
  return { ...facts, stream: { ...facts.stream, groups: [...facts.stream.groups, ...groups] } };
}

test("everything up to the durable checkpoint may go, nothing behind it (I6)", () => {
  expect(trimBound(facts)).toEqual({ minId: "100-1", reason: { by: "checkpoint" } });
});

test.each<[string, TrimFacts]>([
  ["nothing was ever applied durably", { ...facts, checkpoint: undefined }],
  ["the stream lies behind the checkpoint", { ...facts, stream: { ...facts.stream, lastId: "99-0" } }],
  ["the group is missing", { ...facts, stream: { ...facts.stream, groups: [group("other", "200-0")] } }],
])("nothing may go while %s", (_, given) => {
  expect(trimBound(given)).toBeUndefined();
});

test("what the own group has not acknowledged stays although it is applied: the stream may have come back older", () => {
  const stream = { ...facts.stream, groups: [group("sluice", "60-0", "50-0")] };
  expect(trimBound({ ...facts, stream })?.minId).toBe("50-0");
});

test("another group keeps its first pending entry, or what it has not been given yet", () => {
  const reason = { by: "group", group: "audit" };
  expect(trimBound(withGroups(group("audit", "80-0", "40-0")))).toEqual({ minId: "40-0", reason });
  expect(trimBound(withGroups(group("audit", "80-5")))).toEqual({ minId: "80-6", reason });
  expect(trimBound(withGroups(group("audit", "0-0")))).toEqual({ minId: "0-1", reason });
});

test("retention keeps more, never less", () => {
  expect(trimBound({ ...facts, retained: { id: "70-0", by: "age" } })).toEqual({
    minId: "70-0",
    reason: { by: "age" },
  });
  expect(trimBound({ ...facts, retained: { id: "170-0", by: "age" } })?.minId).toBe("100-1");
});

const id = fc.tuple(fc.nat(50), fc.nat(3)).map(([ms, seq]) => `${ms}-${seq}`);
const anyGroup = fc.record({ lastDeliveredId: id, firstPendingId: fc.option(id, { nil: undefined }) });

test("whatever the facts, no bound passes the checkpoint, a group's need or what is retained", () => {
  fc.assert(
    fc.property(
      id,
      id,
      fc.array(anyGroup, { minLength: 1, maxLength: 4 }),
      fc.option(id, { nil: undefined }),
      (checkpoint, lastId, groups, retainedId) => {
        const named = groups.map((each, index) => ({ ...each, name: index === 0 ? "sluice" : `g${index}` }));
        const retained = retainedId === undefined ? undefined : { id: retainedId, by: "age" as const };
        const bound = trimBound({ checkpoint, stream: { lastId, groups: named }, group: "sluice", retained });
        if (bound === undefined) return compareEntryIds(lastId, checkpoint) < 0;
        const needed = [
          entryIdAfter(checkpoint),
          ...named.flatMap((each) => [entryIdAfter(each.lastDeliveredId), each.firstPendingId ?? []].flat()),
          ...(retainedId === undefined ? [] : [retainedId]),
        ];
        return needed.every((need) => compareEntryIds(bound.minId, need) <= 0);
      },
    ),
  );
});

test("the lowest id behind another one", () => {
  expect(entryIdAfter("5-7")).toBe("5-8");
  expect(entryIdAfter("5-18446744073709551615")).toBe("6-0");
});

test("a bound at or before the first entry removes nothing", () => {
  const bound = { minId: "10-0", reason: { by: "checkpoint" } } as const;
  expect(removesAny(bound, "9-9")).toBe(true);
  expect(removesAny(bound, "10-0")).toBe(false);
  expect(removesAny(bound, undefined)).toBe(false);
});
