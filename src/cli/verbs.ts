/**
 * The verbs: `locktopus run …`, `locktopus ls …`. Each is loaded when it is asked for, so that the
 * others and the server cost it no start time. `serve` is what the program does without a verb.
 */
import { nearest } from './nearest.ts';
import type { Verb } from './verb.ts';

export interface VerbEntry {
  readonly name: string;
  /** One line for `locktopus --help`, without a full stop. */
  readonly summary: string;
  readonly load: () => Promise<Verb>;
}

export const VERBS: readonly VerbEntry[] = [
  {
    name: 'run',
    summary: 'run a command while holding a lock',
    load: async () => (await import('./verbs/run.ts')).RUN,
  },
  {
    name: 'ls',
    summary: 'show who holds what, and who waits behind whom',
    load: async () => (await import('./verbs/ls.ts')).LS,
  },
  {
    name: 'why',
    summary: 'show why a lock waits, down to who holds it up',
    load: async () => (await import('./verbs/why.ts')).WHY,
  },
  {
    name: 'watch',
    summary: 'show what happens to locks, as it happens',
    load: async () => (await import('./verbs/watch.ts')).WATCH,
  },
  {
    name: 'evict',
    summary: 'take away a lock, or end a session',
    load: async () => (await import('./verbs/evict.ts')).EVICT,
  },
  {
    name: 'namespaces',
    summary: 'show the namespaces of the server',
    load: async () => (await import('./verbs/namespaces.ts')).NAMESPACES,
  },
  {
    name: 'stats',
    summary: 'show the numbers of a namespace',
    load: async () => (await import('./verbs/stats.ts')).STATS,
  },
  {
    name: 'ping',
    summary: 'show whether the server answers, and how fast',
    load: async () => (await import('./verbs/ping.ts')).PING,
  },
  {
    name: 'store',
    summary: 'check a data directory: what it holds, or where it is broken',
    load: async () => (await import('./verbs/store.ts')).STORE,
  },
  {
    name: 'shell',
    summary: 'talk to the server at a prompt',
    load: async () => (await import('./verbs/shell.ts')).SHELL,
  },
  {
    name: 'completion',
    summary: 'print a script that completes commands in bash or zsh',
    load: async () => (await import('./verbs/completion.ts')).COMPLETION,
  },
];

const SERVE = 'serve';

/** What the first word of the command line asks for. */
export type Dispatch =
  | { readonly kind: 'serve'; readonly args: readonly string[] }
  | { readonly kind: 'verb'; readonly entry: VerbEntry; readonly args: readonly string[] }
  | { readonly kind: 'mistake'; readonly message: string };

/** @param args the command line after the program's name */
export function dispatch(args: readonly string[]): Dispatch {
  const [word = '', ...rest] = args;
  if (word === SERVE) return { kind: 'serve', args: rest };
  const entry = VERBS.find(({ name }) => name === word);
  if (entry !== undefined) return { kind: 'verb', entry, args: rest };
  // Options are the server's, and so are mistakes in them.
  if (args.length === 0 || word.startsWith('-')) return { kind: 'serve', args };
  const near = nearest(word, [SERVE, ...VERBS.map(({ name }) => name)]);
  const hint = near === undefined ? '' : ` Did you mean ${near}?`;
  return { kind: 'mistake', message: `unknown command "${word}".${hint}` };
}
