/**
 * Environment variables with the prefix of the options' variables: tells those of options from
 * those that Kubernetes sets and from likely mistakes.
 */
import { nearest } from './nearest.ts';
import { OPTIONS, variableOf } from './options.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = variableOf('');

/** Tokens have variables, but no options; the others are for clients and set by `locktopus run`. */
const KNOWN: readonly string[] = [
  ...OPTIONS.map(({ flag }) => variableOf(flag)),
  ...['token', 'admin-token', 'url', 'id'].map(variableOf),
];

/** The value of `…_PORT` that Kubernetes sets for a Service, and Docker for a link. */
const LINK = /^(tcp|udp|sctp):\/\//i;

/**
 * The other variables they set: `…_SERVICE_HOST`, `…_SERVICE_PORT_HTTP`, `…_PORT_9009_TCP_ADDR`.
 */
const LINK_NAME =
  /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;

/**
 * The value of an option's variable; undefined if the variable is unset or empty, or if Kubernetes
 * set it for a Service.
 */
export function variableFor(flag: string, env: Environment): string | undefined {
  const value = env[variableOf(flag)] || undefined;
  return flag === 'port' && isServiceLink(value) ? undefined : value;
}

/**
 * Log lines about the environment, without their full stop. They repeat no value: it may be secret.
 */
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
  const near = nearest(name, KNOWN, PREFIX.length);
  const hint = near === undefined ? 'See locktopus --help' : `Did you mean ${near}?`;
  return `warning: ${name} is ignored: no option uses this variable. ${hint}`;
}

function isServiceLink(value: string | undefined): boolean {
  return value !== undefined && LINK.test(value);
}
