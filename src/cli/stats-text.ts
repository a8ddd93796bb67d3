/** Numbers of namespaces, for people. */
import type { ListedNamespace, Stats } from '../client/index.ts';
import { printable } from './printable.ts';
import { type Cell, type Column, type Paper, renderTable } from './text-table.ts';

const COUNTS: readonly Column[] = [
  { heading: 'NAMESPACE', minWidth: 12 },
  { heading: 'SESSIONS', align: 'right' },
  { heading: 'HELD', align: 'right' },
  { heading: 'WAITING', align: 'right' },
];

const MORE: readonly Column[] = [
  { heading: 'RESOURCES HELD', align: 'right' },
  { heading: 'WAITED FOR', align: 'right' },
  { heading: 'PATHS', align: 'right' },
];

/** Namespaces in one table, as in a list of locks. */
const CHUNK = 1000;

/** The numbers of one namespace. */
export function statsText(stats: Stats, paper: Paper): string {
  const { resources, paths } = stats;
  const more = numbers(resources.acquired, resources.enqueued, paths);
  return renderTable([...COUNTS, ...MORE], [[...countsOf(stats), ...more]], paper);
}

/** Writes tables of namespaces. */
export async function listNamespaces(
  namespaces: AsyncIterable<ListedNamespace>,
  paper: Paper,
  out: (text: string) => void,
): Promise<void> {
  let rows: Cell[][] = [];
  for await (const namespace of namespaces) {
    rows.push(countsOf(namespace));
    if (rows.length < CHUNK) continue;
    out(renderTable(COUNTS, rows, paper));
    rows = [];
  }
  if (rows.length > 0) out(renderTable(COUNTS, rows, paper));
}

function countsOf({ namespace, sessions, locks }: ListedNamespace): Cell[] {
  return [{ text: printable(namespace) }, ...numbers(sessions, locks.acquired, locks.enqueued)];
}

function numbers(...counts: readonly number[]): Cell[] {
  return counts.map((count) => ({ text: String(count) }));
}
