/**
 * The rows of the lock tree, from top to bottom, as they are drawn and walked through by keyboard. A
 * chain of paths without locks of their own is one row. Pure.
 */
import { pathText, ROOT_TEXT } from '../operators/path-text.ts';
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
    writeBranch(writer, root, { level: 1, position: 1, setSize: 1 });
    return rows;
  }
  const setSize = root.branches.length;
  root.branches.forEach((branch, i) => {
    writeBranch(writer, branch, { level: 1, position: i + 1, setSize });
  });
  return rows;
}

/** Undefined if nothing of it is shown. */
function branchOf(
  node: PathNode,
  filter: string,
  compare: (a: Branch, b: Branch) => number,
): Branch | undefined {
  // What matches is shown with all that is below it.
  const rest = filter !== '' && pathText(node.path).toLowerCase().includes(filter) ? '' : filter;
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

function writeBranch(writer: Writer, branch: Branch, place: Omit<RowPlace, 'key'>): void {
  let end = branch;
  const segments = [end.node.segment];
  for (let only = onlyBranch(end); only !== undefined; only = onlyBranch(end)) {
    end = only;
    segments.push(end.node.segment);
  }
  const { held, waiting, oldestWaitMs, entries, branches, node } = end;
  const text = node.parent === undefined ? ROOT_TEXT : pathText(segments);
  const key = pathText(node.path);
  const isExpanded = !writer.collapsed.has(key);
  writer.rows.push({
    ...{ kind: 'path', key, ...place, text, held, waiting, oldestWaitMs, isExpanded },
  });
  if (!isExpanded) return;
  const level = place.level + 1;
  const setSize = entries.length + branches.length;
  let position = 0;
  for (const entry of entries) {
    const { lock } = entry;
    position++;
    const row = { key: `${key} ${lock.id}`, level, position, setSize, lock, entry };
    writer.rows.push({ kind: 'lock', ...row });
  }
  for (const below of branches) {
    position++;
    writeBranch(writer, below, { level, position, setSize });
  }
}

function onlyBranch({ entries, branches }: Branch): Branch | undefined {
  return entries.length === 0 && branches.length === 1 ? branches[0] : undefined;
}
