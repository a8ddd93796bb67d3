/**
 * Variables of the environment that begin as those of the options do: which of them the options have,
 * which Kubernetes has set, and which are likely to be mistakes.
 */
import { OPTIONS, variableOf } from './options.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = variableOf('');

/** Tokens have variables, too, but no options. */
const KNOWN: readonly string[] = [
  ...OPTIONS.map(({ flag }) => variableOf(flag)),
  ...['token', 'admin-token'].map(variableOf),
];

/** What Kubernetes, and Docker's links, put into `…_PORT` for a Service: `tcp://10.96.0.5:9009`. */
const LINK = /^(tcp|udp|sctp):\/\//i;

/** What else they set: `…_SERVICE_HOST`, `…_SERVICE_PORT_HTTP`, `…_PORT_9009_TCP_ADDR`. */
const LINK_NAME =
  /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;

/**
 * What an option's variable holds for it; undefined when it is not set, is empty, or is set by
 * Kubernetes, which knows nothing of the option.
 */
export function variableFor(flag: string, env: Environment): string | undefined {
  const value = env[variableOf(flag)] || undefined;
  return flag === 'port' && isServiceLink(value) ? undefined : value;
}

/** What is to be said of the environment: sentences without their full stop. No value is repeated. */
export function environmentNotes(env: Environment): string[] {
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && env[name] !== '')
    .flatMap((name) => noteOn(name, env) ?? []);
}

function noteOn(name: string, env: Environment): string | undefined {
  if (name === variableOf('port') && isServiceLink(env[name])) {
    return `${name} is ignored: it holds the address of a Kubernetes Service, not a port. Set the port with --port`;
  }
  if (KNOWN.includes(name) || isServiceLink(env[name]) || LINK_NAME.test(name)) return undefined;
  const near = nearest(name);
  const hint = near === undefined ? 'See locktopus --help' : `Did you mean ${near}?`;
  return `warning: ${name} is ignored: no option uses this variable. ${hint}`;
}

function isServiceLink(value: string | undefined): boolean {
  return value !== undefined && LINK.test(value);
}

/** The known variable that `name` was probably meant to be, if there is one. */
function nearest(name: string): string | undefined {
  const most = Math.floor((name.length - PREFIX.length) / 3);
  const [best] = KNOWN.map((known) => ({ known, distance: distanceOf(name, known) }))
    .filter(({ distance }) => distance <= most)
    .sort((a, b) => a.distance - b.distance);
  return best?.known;
}

/** Letters to be put in, taken out or replaced to make one word of the other (Levenshtein). */
function distanceOf(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, j) => j);
  for (let i = 0; i < one.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < other.length; j++) {
      const replaced = (row[j] ?? 0) + (one[i] === other[j] ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
