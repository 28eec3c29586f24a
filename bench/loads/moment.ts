/** A time of the year 2024 as Debezium writes a timestamptz, with microseconds. */
export function moment(seed: number): string {
  const at = new Date(1_704_067_200_000 + (seed % 31_536_000) * 1000 + (seed % 997));
  return `${at.toISOString().slice(0, -1)}${String(seed % 1000).padStart(3, "0")}Z`;
}
