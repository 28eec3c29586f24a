import { expect, test } from "vitest";
import type { ColumnFacts, ReplicationFacts, TableFacts } from "../../src/catalog/preflight.ts";
import { checkReplication } from "../../src/cli/check-primary.ts";
import { checkPrivileges, checkRedisFacts } from "../../src/cli/check-redis.ts";
import { checkTables, type Finding } from "../../src/cli/check-tables.ts";
import type { RedisFacts } from "../../src/source/stream-info.ts";

const sound: TableFacts = {
  id: "public.orders",
  schema: "public",
  table: "orders",
  columns: [],
  key: ["id"],
  sentKey: { index: "orders_pkey", columns: ["id"], sound: true, logged: true },
  prepared: true,
  replicaIdentityFull: false,
  replicaIdentityByIndex: false,
  large: [],
  lostWhenUnchanged: [],
  unsent: [],
  partitions: [],
  hasHeirs: false,
  publicationsByPartition: [],
  identities: [],
  foreignKeys: [],
  triggers: [],
  uniques: [],
  writable: true,
};

function levels(findings: readonly Finding[]): readonly string[] {
  return findings.map((finding) => finding.level);
}

test("a table that is as on the primary is fine", () => {
  const findings = checkTables({ read: [sound], source: [sound], maySkipTriggers: false });
  expect(findings).toEqual([{ level: "ok", what: "table public.orders" }]);
});

test.each<[string, Partial<TableFacts>, Finding["level"], string]>([
  ["without _sluice_lsn", { prepared: false }, "fail", "_sluice_lsn"],
  ["that the role may not write", { writable: false }, "fail", "may not write"],
  ["with another key", { key: ["tenant", "id"] }, "fail", "tenant, id"],
  ["with an identity outside the key", { identities: ["number"] }, "warn", "number"],
  ["with a second unique index", { uniques: ["orders_number"] }, "warn", "orders_number"],
  ["with a foreign key", { foreignKeys: ["orders_user_fkey"] }, "warn", "orders_user_fkey"],
  ["with a trigger", { triggers: ["orders_audit"] }, "warn", "orders_audit"],
])("a table %s is named with its remedy", (_, difference, level, named) => {
  const read = [{ ...sound, ...difference }];
  const [finding, ...others] = checkTables({ read, source: [sound], maySkipTriggers: false });
  expect(others).toEqual([]);
  expect(finding).toMatchObject({ level, what: expect.stringContaining(named) });
  expect(finding?.remedy).toMatch(/\.$/);
});

test("foreign keys and triggers do not matter to a role that may skip them", () => {
  const read = [{ ...sound, foreignKeys: ["orders_user_fkey"], triggers: ["orders_audit"] }];
  expect(levels(checkTables({ read, source: undefined, maySkipTriggers: true }))).toEqual(["ok"]);
});

const partition = { id: "public.orders_2024", schema: "public", table: "orders_2024" };

test.each<[string, Partial<TableFacts>, readonly Finding["level"][], string]>([
  ["columns whose unchanged values are lost", { lostWhenUnchanged: ["prices"] }, ["warn"], "prices"],
  ["columns that are not sent", { unsent: ["spans"] }, ["warn"], "spans"],
  [
    "large values and old rows logged by an index",
    { replicaIdentityByIndex: true, large: ["body"] },
    ["warn"],
    "USING INDEX",
  ],
  ["tables that inherit from it", { hasHeirs: true }, ["warn"], "inherit"],
  ["partitions", { partitions: [partition] }, ["warn"], "partitions"],
  [
    "partitions that are published under their own names",
    { partitions: [partition], publicationsByPartition: ["pub"] },
    ["warn", "warn"],
    "publication pub",
  ],
  [
    "a key that rows can share",
    { sentKey: { index: "orders_id", columns: ["id"], sound: false, logged: true } },
    ["fail"],
    "orders_id",
  ],
  [
    "a key that the replica identity does not log",
    { sentKey: { index: "orders_pkey", columns: ["id"], sound: true, logged: false } },
    ["fail"],
    "REPLICA IDENTITY USING INDEX",
  ],
  [
    "another key in its changes",
    { sentKey: { index: "orders_number", columns: ["number"], sound: true, logged: true } },
    ["fail"],
    "number",
  ],
  ["changes without a key", { sentKey: null }, ["fail"], "none"],
])("a table of the primary with %s is named with its remedy", (_, difference, expected, named) => {
  const source = { ...sound, ...difference };
  const findings = checkTables({ read: [sound], source: [source], maySkipTriggers: true });
  expect(levels(findings)).toEqual(expected);
  expect(findings[0]).toMatchObject({ what: expect.stringContaining(named) });
  for (const finding of findings) expect(finding.remedy).toMatch(/\.$/);
});

test("columns whose unchanged values are lost do not matter when the primary logs old rows whole", () => {
  const source = { ...sound, lostWhenUnchanged: ["prices"], replicaIdentityFull: true };
  expect(levels(checkTables({ read: [sound], source: [source], maySkipTriggers: true }))).toEqual(["ok"]);
});

function column(name: string, type: string, sql = type): ColumnFacts {
  return { name, generated: false, type: { name: type, sql, element: null, isEnum: false } };
}

test.each<[string, Partial<TableFacts>, readonly Finding["level"][], string]>([
  [
    "a narrower column",
    { columns: [column("price", "numeric", "numeric(10,2)"), column("note", "text")] },
    ["fail"],
    "ALTER COLUMN price TYPE numeric(10,4).",
  ],
  [
    "a wider column",
    { columns: [column("price", "numeric"), column("note", "text"), column("own", "int4")] },
    ["ok"],
    "",
  ],
  [
    "a column of another type",
    { columns: [column("price", "text"), column("note", "citext")] },
    ["warn"],
    "ALTER COLUMN price TYPE numeric(10,4), ALTER COLUMN note TYPE text.",
  ],
  ["no such column", { columns: [column("note", "text")] }, ["fail"], "sluice migrate --from-source"],
  [
    "a computed column",
    { columns: [{ ...column("price", "int4"), generated: true }, column("note", "text")] },
    ["ok"],
    "",
  ],
])("of a table with %s, what the primary's values would meet is told", (_, difference, expected, remedy) => {
  const source = {
    ...sound,
    columns: [column("price", "numeric", "numeric(10,4)"), column("note", "text"), column("gone", "name")],
    unsent: ["gone"],
  };
  const read = { ...sound, ...difference };
  const findings = checkTables({ read: [read], source: [source], maySkipTriggers: true });
  const own = findings.filter(({ what }) => !what.includes("gone"));
  expect(levels(own)).toEqual(expected.filter((level) => level !== "ok"));
  for (const finding of own) expect(finding.remedy).toContain(remedy);
});

test("a table of the primary that the read database lacks fails; one that only the read database has is passed over", () => {
  const own = { ...sound, id: "public.notes", table: "notes", prepared: false };
  const findings = checkTables({ read: [own], source: [sound], maySkipTriggers: true });
  expect(findings).toMatchObject([{ level: "fail", what: expect.stringContaining("public.orders") }]);
});

const redis: RedisFacts = {
  version: "7.2.4",
  role: "master",
  maxmemoryPolicy: "noeviction",
  maxmemory: 0,
  usedMemory: 0,
  persistence: "aof",
  replicationId: "",
};

test.each<[string, Partial<RedisFacts>, Finding["level"] | undefined]>([
  ["a Redis that keeps everything", {}, undefined],
  ["a Redis that hides its persistence", { persistence: undefined }, undefined],
  ["a Redis that is too old", { version: "6.0.16" }, "fail"],
  ["a Redis that evicts", { maxmemoryPolicy: "allkeys-lru" }, "fail"],
  ["a replica", { role: "slave" }, "fail"],
  ["a Redis with snapshots only", { persistence: "snapshots" }, "warn"],
  ["a Redis that keeps nothing", { persistence: "off" }, "warn"],
])("%s", (_, difference, worst) => {
  const findings = checkRedisFacts({ ...redis, ...difference }).filter(({ level }) => level !== "ok");
  expect(levels(findings)).toEqual(worst === undefined ? [] : [worst]);
  expect(findings.every((finding) => finding.remedy !== undefined)).toBe(true);
});

test("commands that Redis refuses fail with their streams; a Redis that does not tell is passed over", () => {
  const refused = [
    { command: "INFO", streams: [] },
    { command: "XTRIM", streams: ["cdc.0", "cdc.1"] },
  ];
  expect(checkPrivileges({ user: "app", refused })).toMatchObject([
    { level: "fail", what: "Redis refuses the user app INFO; XTRIM on cdc.0, cdc.1" },
  ]);
  expect(levels(checkPrivileges({ user: "app", refused: [] }))).toEqual(["ok"]);
  expect(checkPrivileges(undefined)).toEqual([]);
});

const replicating: ReplicationFacts = {
  walLevel: "logical",
  maxReplicationSlots: 10,
  maxWalSenders: 10,
  publications: ["sluice"],
};

test.each<[string, Partial<ReplicationFacts>, Finding["level"], string]>([
  ["whose log does not suffice", { walLevel: "replica" }, "fail", "wal_level is replica"],
  ["without replication slots", { maxReplicationSlots: 0 }, "fail", "max_replication_slots"],
  ["without WAL senders", { maxWalSenders: 0 }, "fail", "max_wal_senders"],
  ["without a publication", { publications: [] }, "warn", "no publication"],
])("a primary %s is named with its remedy", (_, difference, level, named) => {
  const findings = checkReplication({ ...replicating, ...difference }).filter((each) => each.level !== "ok");
  expect(findings).toMatchObject([{ level, what: expect.stringContaining(named) }]);
  expect(findings[0]?.remedy).toMatch(/\.$/);
});

test("a primary that passes its changes on is fine", () => {
  expect(levels(checkReplication(replicating))).toEqual(["ok", "ok"]);
});
