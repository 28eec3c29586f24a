/** One line for each step, on standard error, so that standard output holds the result alone. */
export async function step<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  const startedAt = performance.now();
  const result = await work();
  say(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${name}`);
  return result;
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
