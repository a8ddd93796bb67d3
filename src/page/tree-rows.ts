/**
 * The rows of the lock tree, from top to bottom, as they are drawn and walked through by keyboard.
 * A chain of paths without locks of their own is one row. Pure.
 */
import type { Entry, LockModel, PageLock, PathNode } from './model.ts';

interface RowPlace {
  /** Unique, and the same from one drawing to the next. */
  readonly key: string;
  /** From 1, as `aria-level` counts. */
  readonly level: number;
  /** From 1, among the rows below the same path. */
  readonly position: number;
  readonly setSize: number;
}

export interface PathRow extends RowPlace {
  readonly kind: 'path';
  /** Relative to the path row above it. */
  readonly text: string;
  /** Locks at and below it; one that is there twice counts twice. */
  readonly held: number;
  readonly waiting: number;
  /** When the lock began to wait that has waited longest. */
  readonly oldestWaitMs: number | undefined;
  readonly isExpanded: boolean;
}

export interface LockRow extends RowPlace {
  readonly kind: 'lock';
  readonly lock: PageLock;
  readonly entry: Entry;
}

export type Row = PathRow | LockRow;

export type Sorting = 'stuck' | 'path';

export interface RowOptions {
  readonly sorting: Sorting;
  /** Only paths that contain this text, or the locks of clients that do; '' for all. */
  readonly filter: string;
  /** Keys of the path rows whose content is hidden. */
  readonly collapsed: ReadonlySet<string>;
}

/** A node with what is shown of it. */
interface Branch {
  readonly node: PathNode;
  readonly entries: readonly Entry[];
  readonly branches: readonly Branch[];
  readonly held: number;
  readonly waiting: number;
  readonly oldestWaitMs: number | undefined;
}

export function treeRows(model: LockModel, options: RowOptions): Row[] {
  const filter = options.filter.toLowerCase();
  const compare = options.sorting === 'stuck' ? byHeat : byPath;
  const root = branchOf(model.root, filter, compare);
  const rows: Row[] = [];
  if (root === undefined) return rows;
  const writer = { rows, collapsed: options.collapsed };
  if (root.entries.length > 0) {
    writeBranch(writer, root, 1, 1, 1);
    return rows;
  }
  const setSize = root.branches.length;
  let position = 1;
  for (const branch of root.branches) writeBranch(writer, branch, 1, position++, setSize);
  return rows;
}

/** Undefined if nothing of it is shown. */
function branchOf(
  node: PathNode,
  filter: string,
  compare: (a: Branch, b: Branch) => number,
): Branch | undefined {
  // What matches is shown with all that is below it.
  const rest = filter !== '' && node.text.toLowerCase().includes(filter) ? '' : filter;
  const entries = [...node.entries.values()].filter(
    ({ lock }) => rest === '' || matches(lock, rest),
  );
  const branches: Branch[] = [];
  let [held, waiting] = [0, 0];
  let oldestWaitMs: number | undefined;
  for (const { lock } of entries) {
    if (lock.state === 'acquired') held++;
    else {
      waiting++;
      oldestWaitMs = Math.min(lock.sinceMs, oldestWaitMs ?? lock.sinceMs);
    }
  }
  for (const child of node.children.values()) {
    const branch = branchOf(child, rest, compare);
    if (branch === undefined) continue;
    branches.push(branch);
    held += branch.held;
    waiting += branch.waiting;
    if (branch.oldestWaitMs !== undefined) {
      oldestWaitMs = Math.min(branch.oldestWaitMs, oldestWaitMs ?? branch.oldestWaitMs);
    }
  }
  if (entries.length === 0 && branches.length === 0) return undefined;
  branches.sort(compare);
  return { node, entries, branches, held, waiting, oldestWaitMs };
}

function matches(lock: PageLock, filter: string): boolean {
  const { id, client, session, label, owner } = lock;
  return [id, client, session, label, owner].some((text) => text?.toLowerCase().includes(filter));
}

/** Longest wait first, then most waiters, then by path. */
function byHeat(a: Branch, b: Branch): number {
  const [first, second] = [a.oldestWaitMs ?? Infinity, b.oldestWaitMs ?? Infinity];
  if (first !== second) return first < second ? -1 : 1;
  return b.waiting - a.waiting || byPath(a, b);
}

/** Numbers by their size, the rest by their characters. */
function byPath({ node: a }: Branch, { node: b }: Branch): number {
  const difference = a.number - b.number;
  if (difference !== 0 && !Number.isNaN(difference)) return difference;
  return a.segment < b.segment ? -1 : 1;
}

interface Writer {
  readonly rows: Row[];
  readonly collapsed: ReadonlySet<string>;
}

/** Thousands at a time: rows are written out, which costs a third of spreading them. */
function writeBranch(
  writer: Writer,
  branch: Branch,
  level: number,
  position: number,
  setSize: number,
): void {
  let end = branch;
  for (let only = onlyBranch(end); only !== undefined; only = onlyBranch(end)) end = only;
  const { held, waiting, oldestWaitMs, entries, branches, node } = end;
  const { text: key } = node;
  const above = branch.node.parent;
  const text = above?.parent === undefined ? key : key.slice(above.text.length + 1);
  const isExpanded = !writer.collapsed.has(key);
  writer.rows.push({
    kind: 'path',
    key,
    level,
    position,
    setSize,
    text,
    held,
    waiting,
    oldestWaitMs,
    isExpanded,
  });
  if (!isExpanded) return;
  const size = entries.length + branches.length;
  let place = 1;
  for (const entry of entries) {
    const { lock } = entry;
    writer.rows.push({
      kind: 'lock',
      key: `${key} ${lock.id}`,
      level: level + 1,
      position: place++,
      setSize: size,
      lock,
      entry,
    });
  }
  for (const below of branches) writeBranch(writer, below, level + 1, place++, size);
}

function onlyBranch({ entries, branches }: Branch): Branch | undefined {
  return entries.length === 0 && branches.length === 1 ? branches[0] : undefined;
}
