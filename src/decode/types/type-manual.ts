/** What an operator should know of a type; docs/reference/types.md is made from these, each of which stands beside its codec. */
export interface TypeManual {
  /** As pg_type has them. */
  readonly names: readonly string[];
  /** As users write them, where that is something else. */
  readonly title?: string;
  /** What Debezium sends with the settings of debezium/, measured on 3.6.1.Final. */
  readonly sent: string;
  /** What is written, and what is refused as VALUE_INVALID. */
  readonly written: string;
  /** What is no longer as on the primary when it is sent. */
  readonly lost?: string;
  /** Without names: the type as whose unchanged large values are sent. */
  readonly unchanged?: string;
  /** Never so large that PostgreSQL stores it apart. */
  readonly small?: true;
}
