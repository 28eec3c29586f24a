/**
 * Expands a list with brace ranges, as a shell does: `cdc.{0..2}` → cdc.0 cdc.1 cdc.2, `cdc.{a,b}` → cdc.a cdc.b.
 * Items are parted by commas outside braces. Braces do not nest.
 *
 * Throws a plain Error whose message says what cannot be read.
 */
export function expandList(text: string): readonly string[] {
  return splitOutsideBraces(text)
    .map((item) => item.trim())
    .filter((item) => item !== "")
    .flatMap(expandBraces);
}

const mostItems = 4096;

/** Expands the braces of one item; several in one item multiply. */
export function expandBraces(item: string): readonly string[] {
  const open = item.indexOf("{");
  const close = item.indexOf("}");
  if (open < 0 && close < 0) return [item];
  if (open < 0 || close < open) throw new Error(`unbalanced braces in "${item}"`);
  const inner = item.slice(open + 1, close);
  if (inner.includes("{")) throw new Error(`nested braces in "${item}"`);
  const head = item.slice(0, open);
  const tails = expandBraces(item.slice(close + 1));
  const expanded = alternatives(inner, item).flatMap((middle) => tails.map((tail) => head + middle + tail));
  if (expanded.length > mostItems) throw new Error(`"${item}" stands for more than ${mostItems} names`);
  return expanded;
}

function alternatives(inner: string, item: string): readonly string[] {
  const range = /^(\d{1,9})\.\.(\d{1,9})$/.exec(inner);
  if (range === null) {
    const names = inner.split(",").map((name) => name.trim());
    if (names.length < 2 || names.includes("")) {
      throw new Error(`"{${inner}}" in "${item}" is neither a range like {0..7} nor a list like {a,b}`);
    }
    return names;
  }
  const first = Number(range[1]);
  const last = Number(range[2]);
  if (last < first) throw new Error(`the range {${inner}} runs backwards`);
  if (last - first >= mostItems) throw new Error(`"${item}" stands for more than ${mostItems} names`);
  return Array.from({ length: last - first + 1 }, (_, index) => String(first + index));
}

function splitOutsideBraces(text: string): readonly string[] {
  const items: string[] = [];
  let depth = 0;
  let item = "";
  for (const character of text) {
    if (character === "{") depth += 1;
    if (character === "}") depth -= 1;
    if (character === "," && depth === 0) {
      items.push(item);
      item = "";
    } else {
      item += character;
    }
  }
  return [...items, item];
}
