import type { ReplicationFacts } from "../catalog/preflight.ts";
import { ok, type Finding } from "./check-tables.ts";

/** What Debezium needs of the primary. Its role is not known here, so that role's rights are not looked at. */
export function checkReplication(facts: ReplicationFacts): readonly Finding[] {
  const { walLevel, publications } = facts;
  return [
    walLevel === "logical"
      ? ok("primary: wal_level logical")
      : {
          level: "fail",
          what: `primary: wal_level is ${walLevel}`,
          remedy: "Set wal_level = logical and restart the primary; Debezium needs it.",
        },
    ...checkLimit("max_replication_slots", facts.maxReplicationSlots),
    ...checkLimit("max_wal_senders", facts.maxWalSenders),
    publications.length > 0
      ? ok(`primary: publication ${publications.join(", ")}`)
      : {
          level: "warn",
          what: "primary: there is no publication",
          remedy:
            "None if Debezium, which makes it at its first start with a superuser's role, has yet to start; else run " +
            "CREATE PUBLICATION sluice FOR ALL TABLES WITH (publish_via_partition_root = true).",
        },
  ];
}

function checkLimit(name: string, value: number): readonly Finding[] {
  if (value > 0) return [];
  const remedy = `Set ${name} to 10, say, and restart the primary; Debezium needs one.`;
  return [{ level: "fail", what: `primary: ${name} is 0`, remedy }];
}
