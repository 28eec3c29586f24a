import type { FixedText } from "./fixed-text.ts";

interface Worded {
  readonly text: FixedText;
}

/** Behind a text's last byte. */
const ended = 256;

/**
 * Tells which of many texts may stand at a place by looking at the few bytes in which they differ: of hundreds of texts one is left to
 * be compared, and a single one is found without looking.
 */
export class TextTree<Entry extends Worded> {
  private root: Node<Entry> | undefined;

  /** The only one there is; undefined when there are others. */
  get single(): Entry | undefined {
    return this.root?.entry;
  }

  /** The only one whose text may begin there. */
  candidate(bytes: Buffer, at: number): Entry | undefined {
    let node = this.root;
    while (node !== undefined && node.entry === undefined)
      node = node.branches[bytes[at + node.offset] ?? ended] ?? node.branches[ended];
    return node?.entry;
  }

  /** The one with this text; `make` makes it if there is none. */
  get(text: FixedText, make: () => Entry): Entry {
    const nearest = this.nearest(text.bytes);
    const offset = nearest === undefined ? 0 : firstDifference(text.bytes, nearest.text.bytes);
    if (nearest !== undefined && offset === undefined) return nearest;
    const entry = make();
    this.root = insert(this.root, new Node(entry), offset ?? 0);
    return entry;
  }

  /** One of those that the text shares most with. */
  private nearest(text: Buffer): Entry | undefined {
    let node = this.root;
    while (node !== undefined && node.entry === undefined)
      node = node.branches[byteAt(text, node.offset)] ?? node.branches.find((each) => each !== undefined);
    return node?.entry;
  }
}

/** An entry, or a place at which the texts of the entries below it differ for the first time. */
class Node<Entry extends Worded> {
  readonly entry: Entry | undefined;
  readonly offset: number;
  /** By the byte at the offset. */
  readonly branches: (Node<Entry> | undefined)[];

  constructor(entry: Entry | undefined, offset = 0) {
    this.entry = entry;
    this.offset = offset;
    this.branches = entry === undefined ? Array.from({ length: ended + 1 }) : [];
  }
}

/** `offset`: where the leaf's text differs from all that it shares most with. */
function insert<Entry extends Worded>(
  node: Node<Entry> | undefined,
  leaf: Node<Entry>,
  offset: number,
): Node<Entry> {
  if (node === undefined) return leaf;
  const isBranch = node.entry === undefined;
  if (isBranch && node.offset <= offset) {
    const byte = byteAt(textOf(leaf), node.offset);
    node.branches[byte] = insert(node.branches[byte], leaf, offset);
    return node;
  }
  const branch = new Node<Entry>(undefined, offset);
  branch.branches[byteAt(textOf(node), offset)] = node;
  branch.branches[byteAt(textOf(leaf), offset)] = leaf;
  return branch;
}

/** Of any entry below the node. */
function textOf<Entry extends Worded>(node: Node<Entry>): Buffer {
  let at: Node<Entry> | undefined = node;
  while (at !== undefined && at.entry === undefined) at = at.branches.find((each) => each !== undefined);
  return at?.entry?.text.bytes ?? nothing;
}

const nothing = Buffer.alloc(0);

function byteAt(text: Buffer, offset: number): number {
  return text[offset] ?? ended;
}

/** Undefined: they are the same. */
function firstDifference(left: Buffer, right: Buffer): number | undefined {
  const most = Math.max(left.length, right.length);
  for (let at = 0; at < most; at++) if (left[at] !== right[at]) return at;
  return undefined;
}
