/** Locks as a table on a terminal. */
import type { InspectedLock } from '../client/inspect.ts';
import {
  blockersOf,
  formatAge,
  forText,
  labelText,
  resourcesText,
} from '../operators/lock-text.ts';
import { printable } from '../operators/printable.ts';
import { type Cell, type Column, type Paper, renderTable } from './text-table.ts';

/** The session that a lock belongs to. */
type SessionFields = Pick<InspectedLock, 'sessionId' | 'session' | 'client'>;

/** `held` or `waiting`, with its colour. */
export function stateCell(state: 'acquired' | 'enqueued'): Cell {
  return state === 'acquired'
    ? { text: 'held', style: 'green' }
    : { text: 'waiting', style: 'yellow' };
}

/** `12 till 127.0.0.1:51234`: a session by its id, its label if it has one, and its address. */
export function sessionText(lock: SessionFields): string {
  const { sessionId, session, client } = lock;
  return [sessionId, ...(session === undefined ? [] : [session]), client].map(printable).join(' ');
}

/** The same; after the id, whether it is lost, and for how long its locks are kept. */
export function sessionCell(lock: InspectedLock): Cell {
  const { lost, abandonedInMs, sessionId, ...rest } = lock;
  if (!lost) return { text: sessionText(lock) };
  const left = abandonedInMs === undefined ? '' : ` (${formatAge(abandonedInMs)} left)`;
  return { text: sessionText({ ...rest, sessionId: `${sessionId} lost${left}` }), style: 'red' };
}

const COLUMNS: readonly Column[] = [
  { heading: 'LOCK' },
  { heading: 'STATE' },
  { heading: 'FOR', align: 'right' },
  { heading: 'RESOURCES', minWidth: 8 },
  { heading: 'SESSION', minWidth: 9 },
  { heading: 'LABEL', minWidth: 6, isOptional: true },
  { heading: 'WAITS FOR' },
  { heading: 'WHOSE', minWidth: 5, isOptional: true },
];

/**
 * A table of locks.
 *
 * @param holderOf names the client of a lock by its id, if it is known
 */
export function lockTable(
  locks: readonly InspectedLock[],
  holderOf: (id: string) => string | undefined,
  paper: Paper,
): string {
  const rows = locks.map((lock) => [
    { text: lock.id },
    stateCell(lock.state),
    { text: forText(lock) },
    { text: resourcesText(lock.resources, lock.moreResources) },
    sessionCell(lock),
    { text: labelText(lock) },
    ...waitsForCells(lock, holderOf),
  ]);
  return renderTable(COLUMNS, rows, paper);
}

/** The oldest lock that it waits for; whose that is, and how many others there are. */
function waitsForCells(
  lock: InspectedLock,
  holderOf: (id: string) => string | undefined,
): readonly Cell[] {
  const [first, ...others] = blockersOf(lock);
  if (first === undefined) return [{ text: '' }, { text: lock.waitsForMore ? 'not known' : '' }];
  const more = lock.waitsForMore ? 'more' : others.length === 0 ? '' : `${others.length} more`;
  const parts = [holderOf(first.id), more].filter((part) => part !== undefined && part !== '');
  return [{ text: first.id }, { text: parts.join(' and ') }];
}
