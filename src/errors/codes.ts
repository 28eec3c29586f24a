/**
 * Every error that sluice can report, by code: one line on what it means and one on what to do.
 * `docs/reference/errors.md` is generated from this table. Codes are never renumbered or reused.
 *
 * `policy` says what a shard does on meeting it: `retry` with back-off for ever, `stop` that shard until someone acts
 * (it looks again from time to time), or `fatal` for the whole process.
 */
export interface ErrorManual {
  readonly policy: "retry" | "stop" | "fatal";
  /** What happened, as a full sentence. */
  readonly meaning: string;
  /** What the operator does about it. */
  readonly remedy: string;
}

export const errorManuals = {
  // Configuration
  CONFIG_INVALID: {
    policy: "fatal",
    meaning: "An option is unknown, missing, or has a value that cannot be read.",
    remedy: "Correct the options named in the message; `sluice config` shows where each value came from.",
  },
  // Stores
  REDIS_UNAVAILABLE: {
    policy: "retry",
    meaning: "Redis cannot be reached, refuses the connection, or did not answer in time.",
    remedy: "Check SLUICE_REDIS_URL, the network and that Redis is up; sluice reconnects by itself.",
  },
  REDIS_REPLY: {
    policy: "retry",
    meaning: "Redis answered a command with an error.",
    remedy:
      "Read the reply in the message: a wrong key type, a missing permission, or a server that is loading.",
  },
  DATABASE_UNAVAILABLE: {
    policy: "retry",
    meaning: "The read database cannot be reached or ended the connection.",
    remedy: "Check SLUICE_DATABASE_URL, the network and that PostgreSQL is up; sluice reconnects by itself.",
  },
  DATABASE_REFUSED: {
    policy: "retry",
    meaning: "PostgreSQL refuses the role, its password or the database's name.",
    remedy:
      "Correct user, password and database in SLUICE_DATABASE_URL, or pg_hba.conf; where the server was changed, sluice goes on by itself.",
  },
  DATABASE_BUSY: {
    policy: "retry",
    meaning: "The read database gave up on a statement: a deadlock, a lock or time limit, or no room.",
    remedy: "sluice tries the same batch again; look for long transactions, full disks or too low limits.",
  },
  SCHEMA_MISSING: {
    policy: "fatal",
    meaning: "The bookkeeping schema is missing or older than this version of sluice needs.",
    remedy: "Run `sluice migrate` with a role that may create the schema.",
  },
  SCHEMA_TOO_NEW: {
    policy: "fatal",
    meaning: "The bookkeeping schema was written by a newer version of sluice.",
    remedy: "Run the newer version; downgrades are not supported.",
  },
  MIGRATION_FAILED: {
    policy: "fatal",
    meaning: "A step of `sluice migrate` could not be done; the steps before it are kept.",
    remedy:
      "Mend the cause that the message names and run `sluice migrate` again: it adds what is still missing.",
  },
  // Ownership
  STREAMS_MIXED: {
    policy: "fatal",
    meaning: "SLUICE_STREAMS names streams of an earlier generation again, alone or beside new ones.",
    remedy:
      "Give each number of shards stream names of its own, such as cdc.g2.{0..15}: entries of two routings must not meet in one stream.",
  },
  LEASE_LOST: {
    policy: "retry",
    meaning: "Another member took the shard; this member's batch was rolled back.",
    remedy: "Nothing is lost. If it recurs, look for long pauses of the process or two members of one name.",
  },
  MEMBER_REPLACED: {
    policy: "fatal",
    meaning: "Another process registered under this member's name.",
    remedy: "Give each process a SLUICE_MEMBER of its own.",
  },
  // Reading
  STREAM_GAP: {
    policy: "stop",
    meaning:
      "Entries were removed from the stream before they were applied, or may have been: it was trimmed, rolled back or made anew.",
    remedy:
      "Find out what happened to the stream; run `sluice accept gap --stream …` and take a new snapshot of the tables, or they may lack changes.",
  },
  REPLAY_TRIMMED: {
    policy: "fatal",
    meaning: "Part of the range to be replayed was removed from the stream.",
    remedy:
      "Begin at the first entry that is left, which the message names, or pass --accept-gap; what is gone can only come back by a new snapshot.",
  },
  GENERATION_WAITS: {
    policy: "retry",
    meaning:
      "The stream belongs to a new generation, and streams of the one before it are not applied to their ends.",
    remedy: "None as long as the earlier streams move; if one of them is stopped, mend that one first.",
  },
  PRIMARY_REWOUND: {
    policy: "stop",
    meaning:
      "A later commit came from an earlier place in the primary's log than one that is applied: the primary was restored into a new cluster.",
    remedy:
      "If the primary was indeed restored, run `sluice accept rewound-primary`; the shard goes on by itself. Rows that were in the read database and are no longer at the primary must be removed by hand.",
  },
  // Entries
  ENTRY_NOT_DEBEZIUM: {
    policy: "stop",
    meaning: "The entry is not a Debezium change event in the extended or compact format.",
    remedy:
      "Find out who wrote it; only Debezium may write to the shards. Remove the entry with XDEL once it is understood.",
  },
  ENTRY_WITH_SCHEMA: {
    policy: "stop",
    meaning: "The entry carries its schema (schemas.enable=true), which this version does not read.",
    remedy: "Set debezium.format.schemas.enable=false and take a new snapshot.",
  },
  POSITION_MISSING: {
    policy: "stop",
    meaning:
      "The change has neither source.lsn nor source.sequence, so its place in the primary's log is unknown.",
    remedy: "Use Debezium's PostgreSQL connector and leave its source block unchanged.",
  },
  // Tables
  TABLE_MISSING: {
    policy: "stop",
    meaning: "The read database has no table of this name.",
    remedy: "Run `sluice migrate --from-source`, create the table, or exclude it with SLUICE_TABLES.",
  },
  TABLE_NOT_PREPARED: {
    policy: "stop",
    meaning: "The table lacks the column _sluice_lsn that the guard against older changes needs.",
    remedy: "Run `sluice migrate`.",
  },
  TABLE_WITHOUT_KEY: {
    policy: "stop",
    meaning: "An update or delete came for a table that has no primary key, so its row cannot be found.",
    remedy: "Give the table a primary key on both sides.",
  },
  KEY_MISMATCH: {
    policy: "stop",
    meaning: "The change's key columns are not the primary key of the table in the read database.",
    remedy: "Give the read database's table the primary key that the primary's has.",
  },
  COLUMN_MISSING: {
    policy: "stop",
    meaning: "The change has a column that the table in the read database lacks.",
    remedy: "Run `sluice migrate --from-source` or add the column; the shard goes on by itself.",
  },
  TYPE_UNSUPPORTED: {
    policy: "stop",
    meaning: "The column's type in the read database is one that Debezium's JSON cannot be converted to.",
    remedy: "Use the type that the primary has, or leave the column out with Debezium's column.exclude.list.",
  },
  // Values
  VALUE_INVALID: {
    policy: "stop",
    meaning:
      "A value does not fit its column: out of range, too long, too fine, malformed, or against a constraint.",
    remedy:
      "Compare the column's type and constraints with the primary's (`sluice check` compares types), and Debezium's modes with those in debezium/application.properties.",
  },
  IDENTITY_FIXED: {
    policy: "stop",
    meaning:
      "The change has another value for a column outside the key that is GENERATED ALWAYS AS IDENTITY in the read database, and PostgreSQL does not let it be updated.",
    remedy:
      "In the read database: ALTER TABLE … ALTER COLUMN … SET GENERATED BY DEFAULT; the shard goes on by itself.",
  },
  UNIQUE_VIOLATED: {
    policy: "retry",
    meaning:
      "A unique index other than the key, or an exclusion constraint, is in the way: shards are applied independently, so a value may be taken over before its former row gave it up.",
    remedy:
      "None if it passes when the other shards have gone on; else make the constraint DEFERRABLE INITIALLY DEFERRED or the index a plain one, and compare the rows with the primary's.",
  },
  LARGE_VALUE_UNKNOWN: {
    policy: "stop",
    meaning:
      "The change leaves out an unchanged large value, and the row that has it is not in the read database.",
    remedy: "Take a new snapshot of the table, or set REPLICA IDENTITY FULL on it.",
  },
  KEY_CHANGE_WAITS: {
    policy: "retry",
    meaning:
      "A row got a new key; its unchanged large values come with the old key's delete, which another shard has yet to apply.",
    remedy: "None as long as the other shards move; if the other shard is stopped, mend that one first.",
  },
  PERMISSION_DENIED: {
    policy: "stop",
    meaning: "The role that sluice uses may not do this in the read database.",
    remedy: "Let that role own the tables, or grant it SELECT, INSERT, UPDATE, DELETE and TRUNCATE.",
  },
  // Everything else
  INTERNAL: {
    policy: "stop",
    meaning: "Something that sluice does not know happened.",
    remedy: "Report it with the log lines around it; the shard's place is kept.",
  },
} as const satisfies Record<string, ErrorManual>;

export type ErrorCode = keyof typeof errorManuals;
