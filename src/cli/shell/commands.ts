/** What can be typed in the shell. */
import type { Path, Resource } from '../../client/index.ts';
import { parsePath, ROOT_TEXT } from '../../operators/path-text.ts';
import { parseResource } from '../../operators/resource-words.ts';
import { wordsOf } from '../../operators/words.ts';
import { parseDuration } from '../durations.ts';
import { nearest } from '../nearest.ts';

/** The fields of a lock request. */
export interface LockFields {
  readonly resources: readonly Resource[];
  readonly waitMs?: number;
  readonly holdMs?: number;
  readonly label?: string;
  readonly owner?: string;
}

/**
 * What commands do. A lock is named by its handle in the shell, `#1`, or by its id. Each resolves with
 * whether it succeeded, once that is known.
 */
export interface Actions {
  lock(fields: LockFields): Promise<boolean>;
  release(name: string | undefined): Promise<boolean>;
  extend(name: string | undefined, holdMs: number | null): Promise<boolean>;
  locks(): Promise<boolean>;
  inspect(path: Path): Promise<boolean>;
  why(name: string | undefined): Promise<boolean>;
  watch(path: Path): Promise<boolean>;
  unwatch(path: Path): Promise<boolean>;
  evict(name: string): Promise<boolean>;
  evictSession(sessionId: string): Promise<boolean>;
  namespaces(): Promise<boolean>;
  stats(): Promise<boolean>;
  ping(): Promise<boolean>;
  raw(isOn: boolean | undefined): Promise<boolean>;
  json(text: string): Promise<boolean>;
  help(): Promise<boolean>;
  bye(): Promise<boolean>;
}

interface Command {
  readonly name: string;
  /** What may follow the name. */
  readonly usage: string;
  readonly help: string;
  /** A sentence without its full stop if the words are a mistake. */
  run(words: readonly string[], actions: Actions): Promise<boolean> | string;
}

export const COMMANDS: readonly Command[] = [
  {
    name: 'lock',
    usage: 'w:orders/17 r:prices …',
    help: 'locks all of these together; r4:gpu is one of four',
    run: (words, actions) => lock(words, actions, {}),
  },
  {
    name: 'try',
    usage: 'w:orders/17 …',
    help: 'the same, without waiting',
    run: (words, actions) => lock(words, actions, { waitMs: 0 }),
  },
  {
    name: 'limit',
    usage: '4 reports',
    help: 'one of four places on a path',
    run([count = '', path = '', ...more], actions) {
      if (!/^\d+$/.test(count) || path === '') return 'write limit 4 reports, for one of four';
      return lock([`r${count}:${path}`, ...more], actions, {});
    },
  },
  {
    name: 'release',
    usage: '[#1]',
    help: 'releases a lock, or leaves the queue',
    run: ([name, ...more], actions) => tooMany(more) ?? actions.release(name),
  },
  {
    name: 'extend',
    usage: '[#1] 30s',
    help: 'holds a lock that long from now; never: no limit',
    run(words, actions) {
      const [name, time = ''] = words.length > 1 ? words : [undefined, ...words];
      if (words.length > 2) return tooMany(words.slice(2)) ?? '';
      const holdMs = time === 'never' ? null : parseDuration(time, 1);
      return typeof holdMs === 'string' ? `the time ${holdMs}` : actions.extend(name, holdMs);
    },
  },
  {
    name: 'locks',
    usage: '',
    help: 'your locks',
    run: (words, actions) => tooMany(words) ?? actions.locks(),
  },
  {
    name: 'inspect',
    usage: '[path]',
    help: 'who holds what, and who waits behind whom',
    run: (words, actions) => withPath(words, (path) => actions.inspect(path)),
  },
  {
    name: 'why',
    usage: '[#1]',
    help: 'why a lock waits, down to who holds it up',
    run: ([name, ...more], actions) => tooMany(more) ?? actions.why(name),
  },
  {
    name: 'watch',
    usage: '[path]',
    help: 'shows what happens to locks, as it happens',
    run: (words, actions) => withPath(words, (path) => actions.watch(path)),
  },
  {
    name: 'unwatch',
    usage: '[path]',
    help: 'ends the watch of that path',
    run: (words, actions) => withPath(words, (path) => actions.unwatch(path)),
  },
  {
    name: 'evict',
    usage: 'ID, or session ID',
    help: 'takes away a lock, or ends a session',
    run([name = '', id, ...more], actions) {
      if (name === '') return 'name a lock or a session by its id, as inspect shows it';
      if (name === 'session' && id !== undefined) {
        return tooMany(more) ?? actions.evictSession(id);
      }
      return tooMany(id === undefined ? [] : [id]) ?? actions.evict(name);
    },
  },
  {
    name: 'namespaces',
    usage: '',
    help: 'all namespaces of the server',
    run: (words, actions) => tooMany(words) ?? actions.namespaces(),
  },
  {
    name: 'stats',
    usage: '',
    help: 'numbers of this namespace',
    run: (words, actions) => tooMany(words) ?? actions.stats(),
  },
  {
    name: 'ping',
    usage: '',
    help: 'the time to the server and back',
    run: (words, actions) => tooMany(words) ?? actions.ping(),
  },
  {
    name: 'raw',
    usage: '[on|off]',
    help: 'shows every message that is sent and received',
    run([word, ...more], actions) {
      if (word !== undefined && word !== 'on' && word !== 'off') return 'write raw on or raw off';
      return tooMany(more) ?? actions.raw(word === undefined ? undefined : word === 'on');
    },
  },
  { name: 'help', usage: '', help: 'shows this list', run: (_words, actions) => actions.help() },
  { name: 'bye', usage: '', help: 'releases everything and leaves; so does Ctrl-D', run: bye },
];

/** Other words for `bye`, which people try. */
const ALIASES: Readonly<Record<string, string>> = { exit: 'bye', quit: 'bye', '?': 'help' };

/**
 * Does what a line says.
 *
 * @returns a sentence without its full stop if the line is a mistake
 */
export function runLine(line: string, actions: Actions): Promise<boolean> | string {
  const text = line.trim();
  if (text.startsWith('{')) return actions.json(text);
  const words = wordsOf(text);
  if (typeof words === 'string') return words;
  const [verb = '', ...rest] = words;
  const name = ALIASES[verb] ?? verb;
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command !== undefined) return command.run(rest, actions);
  const near = nearest(
    verb,
    COMMANDS.map((candidate) => candidate.name),
  );
  const hint = near === undefined ? 'help lists the commands' : `did you mean ${near}?`;
  return `unknown command "${verb}"; ${hint}`;
}

/** The commands that a line may become, and what of it they would replace; for a prompt. */
export function complete(line: string, handles: readonly string[]): [string[], string] {
  const [, verb = '', word = ''] = /^\s*(?:(\S+)\s+)?(\S*)$/.exec(line) ?? [];
  const names = COMMANDS.map(({ name }) => `${name} `);
  const takesHandle = ['release', 'extend', 'why', 'evict'].includes(verb);
  const candidates = verb === '' ? names : takesHandle ? handles : [];
  return [candidates.filter((candidate) => candidate.startsWith(word)), word];
}

const SETTING = /^(wait|hold|label|owner)=(.*)$/su;

function lock(
  words: readonly string[],
  actions: Actions,
  terms: Omit<LockFields, 'resources'>,
): Promise<boolean> | string {
  const resources: Resource[] = [];
  const fields: Record<string, string | number> = {};
  for (const word of words) {
    const [, name, value = ''] = SETTING.exec(word) ?? [];
    if (name === 'label' || name === 'owner') {
      fields[name] = value;
    } else if (name !== undefined) {
      const ms = parseDuration(value, name === 'hold' ? 1 : 0);
      if (typeof ms === 'string') return `${name}= ${ms}`;
      fields[`${name}Ms`] = ms;
    } else {
      const resource = parseResource(word);
      if (typeof resource === 'string') return resource;
      resources.push(resource);
    }
  }
  if (resources.length === 0) return 'name what to lock: w:orders/17 to write, r:orders/17 to read';
  return actions.lock({ resources, ...fields, ...terms });
}

function withPath(
  [text = ROOT_TEXT, ...more]: readonly string[],
  act: (path: Path) => Promise<boolean>,
): Promise<boolean> | string {
  const path = parsePath(text);
  if (typeof path === 'string') return `the path ${path}`;
  return tooMany(more) ?? act(path);
}

function tooMany([word]: readonly string[]): string | undefined {
  return word === undefined ? undefined : `unexpected word "${word}"`;
}

function bye(words: readonly string[], actions: Actions): Promise<boolean> | string {
  return tooMany(words) ?? actions.bye();
}
