/** SQL that fails with division_by_zero unless the condition holds, and so ends the transaction. */
export function assertSql(condition: string): string {
  return `SELECT 1 / CASE WHEN ${condition} THEN 1 ELSE 0 END`;
}

/** Whether a statement failed by `assertSql`. */
export function isAssertion(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "22012";
}
