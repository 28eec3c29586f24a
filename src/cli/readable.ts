/** Such as `0.3s`, `42s`, `12m`, `5.2h`, `3.0d`. */
export function readableSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)}s`;
  if (seconds < 120) return `${seconds.toFixed(0)}s`;
  if (seconds < 7_200) return `${(seconds / 60).toFixed(0)}m`;
  if (seconds < 172_800) return `${(seconds / 3_600).toFixed(1)}h`;
  return `${(seconds / 86_400).toFixed(1)}d`;
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Such as `512B`, `3.4MiB`. */
export function readableBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)}${units[unit]}`;
}
