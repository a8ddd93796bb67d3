/** Why a lock waits, as a tree on a terminal. */
import { type InspectedLock, type Path, RefusedError } from '../client/index.ts';
import {
  forText,
  holderText,
  labelText,
  relationText,
  resourcesText,
} from '../operators/lock-text.ts';
import { pathText } from '../operators/path-text.ts';
import { type ChainStep, MAX_CHAIN } from '../operators/waiting-chain.ts';
import { sessionCell, stateCell } from './lock-text.ts';
import { PLAIN } from './paint.ts';
import type { Paper } from './text-table.ts';

const MAX_INDENT = 20;

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
