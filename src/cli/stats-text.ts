/** Numbers of namespaces, for people. */
import type { ListedNamespace, Stats } from '../client/index.ts';
import { printable } from '../operators/printable.ts';
import { type Cell, type Column, type Paper, renderTable, writeTables } from './text-table.ts';

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
  await writeTables(namespaces, (chunk) => renderTable(COUNTS, chunk.map(countsOf), paper), out);
}

function countsOf({ namespace, sessions, locks }: ListedNamespace): Cell[] {
  return [{ text: printable(namespace) }, ...numbers(sessions, locks.acquired, locks.enqueued)];
}

function numbers(...counts: readonly number[]): Cell[] {
  return counts.map((count) => ({ text: String(count) }));
}
