/** Why a lock waits: what it waits for, what that waits for, down to the locks that are held. */
import { type Blocker, type InspectedLock, type Path, RefusedError } from '../client/index.ts';
import {
  blockersOf,
  forText,
  holderText,
  labelText,
  relationText,
  resourcesText,
  sessionCell,
  stateCell,
} from './lock-text.ts';
import { PLAIN } from './paint.ts';
import { pathText } from './path-text.ts';
import type { Paper } from './text-table.ts';

/** Resolves with the lock of that id, or with undefined if there is none any more. */
export type FindLock = (id: string) => Promise<InspectedLock | undefined>;

export interface ChainStep {
  readonly lock: InspectedLock;
  /** How many locks away from the first one. */
  readonly depth: number;
  /** Where it blocks the one before it; undefined for the first lock. */
  readonly blocks: Blocker | undefined;
  /** The lock that waits for it; undefined for the first lock. */
  readonly waiter: string | undefined;
}

/** Locks that are looked at for one answer. */
export const MAX_CHAIN = 1000;
const MAX_INDENT = 20;

/**
 * The lock, then each lock that it waits for directly or through others: each once, and always first
 * what leads to the oldest. As a lock waits for earlier ones only, that is a lock that is held. At
 * most `MAX_CHAIN`.
 */
export async function* waitingChain(
  first: InspectedLock,
  find: FindLock,
): AsyncGenerator<ChainStep, void, undefined> {
  const seen = new Set([first.id]);
  const start = { lock: first, depth: 0, blocks: undefined, waiter: undefined };
  yield start;
  const toVisit = stepsBehind(start);
  for (let step = toVisit.pop(); step !== undefined; step = toVisit.pop()) {
    const { blocks } = step;
    if (seen.has(blocks.id)) continue;
    if (seen.size === MAX_CHAIN) return;
    seen.add(blocks.id);
    const lock = await find(blocks.id);
    if (lock === undefined) continue;
    const found = { ...step, lock };
    yield found;
    toVisit.push(...stepsBehind(found));
  }
}

/** The oldest last, where it is taken from. */
function stepsBehind({ lock, depth }: Pick<ChainStep, 'lock' | 'depth'>): {
  readonly depth: number;
  readonly blocks: Blocker;
  readonly waiter: string;
}[] {
  return blockersOf(lock)
    .map((blocks) => ({ depth: depth + 1, blocks, waiter: lock.id }))
    .reverse();
}

/** The lock that `inspect` with an id answers; undefined if there is none, or none any more. */
export async function onlyLock(
  locks: AsyncIterable<InspectedLock>,
): Promise<InspectedLock | undefined> {
  try {
    for await (const lock of locks) return lock;
  } catch (error) {
    if (!(error instanceof RefusedError) || error.code !== 'no_such_lock') throw error;
  }
  return undefined;
}

/** Rejects a question about a lock that does not exist. */
export function noSuchLock(id: string): RefusedError {
  return new RefusedError('no_such_lock', `there is no lock ${id}`);
}

/** Writes the chain as a tree, and what is at its root. */
export async function writeChain(
  chain: AsyncIterable<ChainStep>,
  { paint = PLAIN }: Paper,
  out: (text: string) => void,
): Promise<void> {
  const roots: InspectedLock[] = [];
  let count = 0;
  let isWaiting = false;
  for await (const { lock, depth, blocks } of chain) {
    const { text, style } = stateCell(lock.state);
    const indent = depth === 0 ? '' : `${'   '.repeat(Math.min(depth, MAX_INDENT) - 1)}└─ `;
    const where = blocks === undefined ? '' : `  ${paint('dim', relationText(blocks))}`;
    const state = paint(style, `${text} for ${forText(lock)}`);
    out(`${indent}${lock.id}  ${state}  ${whatText(lock)}${where}\n`);
    if (count++ === 0) isWaiting = lock.state === 'enqueued';
    if (lock.state === 'acquired') roots.push(lock);
  }
  const [root, ...others] = roots;
  if (!isWaiting) out('It is held, and waits for nothing.\n');
  else if (root === undefined) out('What it waited for is gone: ask again.\n');
  else {
    const more = others.length === 0 ? '' : `, and ${others.length} more`;
    out(`Held up by ${root.id}, held by ${holderText(root)} for ${forText(root)}${more}.\n`);
  }
  if (count === MAX_CHAIN) out(`Only the first ${MAX_CHAIN} locks are shown.\n`);
}

function whatText(lock: InspectedLock): string {
  const label = labelText(lock);
  const parts = [
    resourcesText(lock.resources, lock.moreResources),
    `session ${sessionCell(lock).text}`,
    ...(label === '' ? [] : [label]),
  ];
  return parts.join('  ');
}

/** For a path without locks. */
export function nothingText(path: Path): string {
  return path.length === 0 ? 'no locks' : `no locks at, above or below ${pathText(path)}`;
}
