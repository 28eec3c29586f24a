/** A stream entry's id, `ms-seq`. Both parts are unsigned 64-bit numbers, so they are compared as text, never as floats. */
export const firstEntryId = "0-0";

/** Negative, zero or positive as `left` is before, equal to or after `right`. */
export function compareEntryIds(left: string, right: string): number {
  const leftDash = dash(left);
  const rightDash = dash(right);
  return (
    compareDigits(left.slice(0, leftDash), right.slice(0, rightDash)) ||
    compareDigits(left.slice(leftDash + 1), right.slice(rightDash + 1))
  );
}

/** Entry ids begin with the milliseconds at which Redis took the entry. */
export function addedAtMs(entryId: string): number {
  return Number(entryId.split("-")[0]);
}

function dash(id: string): number {
  const at = id.indexOf("-");
  if (at <= 0) throw new TypeError(`not an entry id: ${id}`);
  return at;
}

function compareDigits(left: string, right: string): number {
  if (left.length !== right.length) return left.length - right.length;
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
