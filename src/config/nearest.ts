/** The known name that is the fewest edits away from `name`, unless that is too far to be meant. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, edits: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((left, right) => left.edits - right.edits);
  const best = ranked[0];
  if (best === undefined || best.edits > Math.max(2, Math.floor(name.length / 3))) return undefined;
  return best.candidate;
}

/** Insertions, deletions and substitutions that turn one text into the other (Levenshtein). */
function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (const [row, letter] of [...left].entries()) {
    const current = [row + 1];
    for (const [column, other] of [...right].entries()) {
      const substitute = (previous[column] ?? 0) + (letter === other ? 0 : 1);
      const insert = (current[column] ?? 0) + 1;
      const remove = (previous[column + 1] ?? 0) + 1;
      current.push(Math.min(substitute, insert, remove));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
