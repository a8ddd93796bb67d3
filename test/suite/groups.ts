/**
 * Which tests share a process. A process per file costs half a second of CPU before its first test,
 * so the files of these rooms run one after another in one process per group. Files that mostly
 * wait, for programs or timeouts, are in no group: they run side by side.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TESTS = fileURLToPath(new URL('..', import.meta.url));

/** Folders of test/, and files that need no process of the program, by group. */
export const GROUPS = {
  protocol: ['protocol'],
  net: ['net'],
  rooms: ['runtime', 'session', 'cluster', 'repository', 'client', 'page'],
  table: ['table'],
  store: [
    'store',
    'cli/log.test.ts',
    'cli/open-files.test.ts',
    'cli/rate-limit.test.ts',
    'cli/settings.test.ts',
    'cli/verbs.test.ts',
  ],
} as const;

/** Files that need a process of their own. */
const ALONE = [
  // They measure the heap.
  'session/memory-heap.test.ts',
  'table/scale.test.ts',
  // They count executed steps.
  'table/cost.test.ts',
  'table/deadlock-cost.test.ts',
  // It costs as much as a group.
  'client/simulation.test.ts',
  // They mostly wait, for processes that are stopped and killed.
  'client/failures.test.ts',
  'store/store.test.ts',
  // Their hooks hold for all tests of a process.
  'net/websocket/connection.test.ts',
  'net/websocket/handshake.test.ts',
  'net/websocket/large-messages.test.ts',
  'net/websocket/ws-package.test.ts',
];

/** Files and folders that need what was made elsewhere (a browser, etcd, proxies), or take long. */
const LONG = [
  'bench/',
  'chaos/',
  'load/',
  'soak/',
  'client/chromium.test.ts',
  'cluster/cell.test.ts',
  'cluster/processes.test.ts',
  'faults/firewalled.test.ts',
  'faults/proxies.test.ts',
  'page/chromium.test.ts',
  'store/etcd-gateway.test.ts',
  'store/etcd-store.test.ts',
];

/** All test files in and below a folder of test/, or that file; relative to test/. */
function testFiles(folder: string): string[] {
  if (folder.endsWith('.test.ts')) return [folder];
  return readdirSync(join(TESTS, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(folder, name))
    .sort();
}

function filesOf(group: keyof typeof GROUPS): string[] {
  return GROUPS[group].flatMap(testFiles).filter((file) => !ALONE.includes(file) && !isLong(file));
}

/** Which tests run: those of `npm test`, the long ones, or both. */
export type Selection = 'usual' | 'long' | 'all';

/** The files that run in processes of their own: one for each group, and all in no group. */
export function processFiles(selection: Selection): string[] {
  const groups = Object.keys(GROUPS) as (keyof typeof GROUPS)[];
  const grouped = new Set(groups.flatMap(filesOf));
  return testFiles('.')
    .filter((file) => !grouped.has(file))
    .filter((file) => selection === 'all' || (selection === 'long') === isLong(file));
}

function isLong(file: string): boolean {
  return LONG.some((start) => file.startsWith(start));
}

/** Imports, and so runs, the tests of a group. */
export async function runGroup(group: keyof typeof GROUPS): Promise<void> {
  for (const file of filesOf(group)) await import(join(TESTS, file));
}
