/** What the program says on the terminal: help, the line at start, log lines, reasons to give up. */

import { addressName } from '../net/listen/listener.ts';
import type { Eviction } from '../protocol/eviction.ts';
import type { StallReport } from '../runtime/stall-meter.ts';
import { plural } from '../runtime/text.ts';
import type { ServerCounts } from '../server.ts';
import { DEFAULT_HOST, DEFAULT_PORT, type ServerOptions } from '../server-options.ts';
import type { SessionLock } from '../session/lock-record.ts';
import type { Resource } from '../table/resource.ts';
import { VERSION } from '../version.ts';
import { HEADINGS, OPTIONS, variableOf } from './options.ts';
import type { Settings } from './settings.ts';

const HELP_COLUMN = 34;

export function helpText(): string {
  const headings = new Map<string, string>(HEADINGS);
  const rows = OPTIONS.map((option) => {
    const heading = headings.get(option.flag);
    const before = heading === undefined ? '' : `\n${heading}:\n`;
    const short = 'short' in option ? `-${option.short}, ` : '    ';
    const value = 'value' in option ? ` ${option.value}` : '';
    const fallback =
      option.type === 'switch' || option.default === '' ? '' : ` [${option.default}]`;
    return `${before}  ${`${short}--${option.flag}${value}`.padEnd(HELP_COLUMN)}${option.help}${fallback}`;
  });
  return `Locktopus ${VERSION}: a lock server. Programs that share data ask it for atomic sets of
read and write locks on paths and get them strictly in order of arrival.

Usage: locktopus [options]

Options [and their defaults]; lists are repeated or separated by commas:
${rows.join('\n')}

  ${'-h, --help'.padEnd(HELP_COLUMN)}show this text
  ${'    --version'.padEnd(HELP_COLUMN)}show the version

Each option has an environment variable: --port is ${variableOf('port')}, --log-clients is
${variableOf('log-clients')} (true or false), and so on. The option wins over the variable. Tokens
may also stand in ${variableOf('token')} and ${variableOf('admin-token')}.

One port speaks JSON lines on TCP (try: nc localhost 9009, then {"action":"help"}), WebSocket
(ws://localhost:9009/v1?namespace=NAME) and HTTP (http://localhost:9009/).

Started by systemd with sockets (LISTEN_FDS), it listens on those and on nothing else.

SIGHUP: reads tokens, certificate and key again; who is connected stays. Without any of those
files it is as SIGTERM in a terminal, whose closing it reports, and is ignored elsewhere (nohup,
daemons, containers without a terminal).
SIGINT or SIGTERM: takes no new sessions and locks, waits until no lock is held, but no longer than
--drain-timeout, and stops. Saying goodbye may take five seconds more, with a timeout of 0 as well.
A second one ends at once. npx and npm do not pass signals on: start it by node.

Exit codes: 0 stopped, and nobody was cut off; 1 could not listen; 2 a mistake in the options, or
started in a worker of node:cluster (PM2 cluster mode); 3 stopped, and clients that held locks were
cut off; 70 a fault in the server, which then can't trust its locks; 130 or 143 ended by a second
signal; 134 (SIGABRT) out of memory.
`;
}

/** Where it listens and how it was set up, in one line. */
export function startLine(places: readonly string[], { chosen }: Settings): string {
  const where = places.join(' and ');
  const how = chosen.length === 0 ? 'all options at their defaults' : chosen.join(', ');
  return `Locktopus ${VERSION} listens on ${where} (${how})`;
}

/** What is to be said when everybody who reaches this server may enter, and that is not only us. */
export function exposureWarning(place: string): string {
  return `warning: everybody who can reach ${place} may take locks and look at them. Set a token with --token-file, or listen on 127.0.0.1`;
}

/** SIGHUP without a terminal that was closed, and without files. */
export const HANG_UP_LINE =
  'SIGHUP ignored: there is no token file and no certificate to read again. SIGTERM stops the server';

/** What an administrator did, and to whom. */
export function evictionLine({ session, lock, locks }: Eviction, by: string): string {
  if (lock !== undefined) return `${by} evicts ${lockName(lock)}`;
  const namespace = JSON.stringify(session.namespace.name);
  return `${by} evicts session ${session.id} of ${session.client} in ${namespace}, with ${plural(locks, 'lock')}`;
}

/** Whether the server was started where it must not run, in a worker of node:cluster. */
export function isClusterError({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_CLUSTER_WORKER';
}

/** Why the server could not start, and what to do. */
export function listenFailure(
  error: NodeJS.ErrnoException,
  { host = DEFAULT_HOST, port = DEFAULT_PORT, socket, fds = [] }: ServerOptions,
): string {
  if (isClusterError(error)) {
    return `${error.message}. Start one process, outside of node:cluster; with PM2, in fork mode (exec_mode: "fork", instances: 1).`;
  }
  if (fds.length > 0) {
    return `cannot listen on the sockets that were handed over, descriptors ${fds.join(', ')}: ${error.message}. They must be stream sockets; see LISTEN_FDS and LISTEN_PID.`;
  }
  if (error instanceof RangeError) {
    return `${error.message}: with --no-tcp, choose a Unix socket with --socket.`;
  }
  // What the system says of a Unix socket names its path as the address.
  if (socket !== undefined && 'address' in error && error.address === socket.path) {
    return socketFailure(error, socket.path);
  }
  // A name may have several addresses, of which only one can't be listened on.
  const where =
    'address' in error ? addressName(`${error.address}`, port) : addressName(host, port);
  switch (error.code) {
    case 'EADDRINUSE':
      return `${where} is in use by another program. Stop that one, or choose another port with --port.`;
    case 'EACCES':
      return `${where} may not be listened on by this user: ports below 1024 are for root. Choose a higher one with --port.`;
    case 'EADDRNOTAVAIL':
      return `${host} is not an address of this machine. Choose one with --host, such as 127.0.0.1 or 0.0.0.0.`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name ${host} could not be resolved. Choose an address with --host, such as 127.0.0.1 or 0.0.0.0.`;
    default:
      return `cannot listen on ${where}: ${error.message}`;
  }
}

function socketFailure(error: NodeJS.ErrnoException, path: string): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `${error.message}: make room there, or choose another path with --socket.`;
    case 'EACCES':
    case 'EPERM':
      return `${path} can't be made: this user may not write to its folder, or not replace what is there. Choose another path with --socket.`;
    case 'ENOENT':
    case 'ENOTDIR':
      return `the folder of ${path} is not there. Make it, or choose another path with --socket.`;
    case 'ENAMETOOLONG':
      return `${path} is too long: ${error.message}. Choose a shorter one with --socket.`;
    default:
      return `cannot listen on ${path}: ${error.message}`;
  }
}

/** The system lets the process have fewer connections than were asked for. */
export function openFilesWarning(maxConnections: number, wanted: number): string {
  return `room for ${plural(maxConnections, 'connection')}, not for the ${wanted} of --max-connections: the limit of open files has none for more; raise it (ulimit -n) if you need them`;
}

/** The engine may run out of memory before clients are told that the server is full. */
export function heapWarning(maxLockBytes: number, room: number): string {
  return `warning: --max-lock-bytes ${maxLockBytes} is more than the heap of this process has room for, ${room} bytes: it may run out of memory and end, with every lock, before it is full. Choose no more than that, or give it a larger heap (node --max-old-space-size=MIB)`;
}

/** Somebody was turned away. */
export function fullLine(maxConnections: number): string {
  return `there are ${maxConnections} connections, as many as are allowed (--max-connections); others are turned away`;
}

/** Somebody could not be let in. */
export function stuckLine({ code, message }: NodeJS.ErrnoException): string {
  const isOutOfFiles = code === 'EMFILE' || code === 'ENFILE';
  const cure = isOutOfFiles ? ': raise the limit of open files (ulimit -n)' : '';
  return `a connection could not be accepted (${message})${cure}; those that are open are served`;
}

/** The file of the Unix socket was removed or replaced. */
export function lostPathLine(path: string, error: Error | undefined): string {
  if (error === undefined) {
    return `the Unix socket ${path} had been removed; it is made again, and its clients stay connected`;
  }
  return `the Unix socket ${path} has been removed or replaced and cannot be made again. Its clients stay connected, others cannot connect. It is tried again every ten seconds: ${socketFailure(error, path)}`;
}

/**
 * Somebody guessed.
 *
 * @param untold how often that happened since the last such line
 */
export function wrongTokenLine(client: string, untold: number): string {
  return `${client} showed a token that is not known${andMore(untold)}`;
}

/**
 * Somebody did not get through the handshake of TLS.
 *
 * @param untold how often that happened since the last such line
 */
export function handshakeLine(why: string, client: string | undefined, untold: number): string {
  const whose = client === undefined ? '' : ` with ${client}`;
  return `a TLS handshake${whose} failed (${why})${andMore(untold)}`;
}

export function statsLine(counts: ServerCounts): string {
  const { connections, namespaces, sessions, acquired, enqueued } = counts;
  return [
    plural(connections, 'connection'),
    plural(namespaces, 'namespace'),
    plural(sessions, 'session'),
    `${plural(acquired, 'lock')} held`,
    `${enqueued} waiting`,
  ].join(', ');
}

/** How far a drain is. */
export function drainLine(holders: number, { acquired }: ServerCounts): string {
  const verb = holders === 1 ? 'holds' : 'hold';
  return `draining: ${plural(holders, 'session')} ${verb} ${plural(acquired, 'lock')}`;
}

/** How a drain, or a stop, has ended. */
export function stoppedLine(cutOff: number): string {
  if (cutOff === 0) return 'stopped';
  const verb = cutOff === 1 ? 'was' : 'were';
  return `stopped; ${plural(cutOff, 'session')} that held locks ${verb} cut off`;
}

export function stallLine({ stallMs, untold }: StallReport): string {
  return `the server was held up for ${Math.round(stallMs)} ms${andMore(untold)}`;
}

function andMore(untold: number): string {
  return untold === 0 ? '' : `, and ${plural(untold, 'more time')} since the last such line`;
}

/** A lock in a log line: who, where and what. */
export function lockName({ id, context: { session }, resources }: SessionLock): string {
  const namespace = JSON.stringify(session.namespace.name);
  return `lock ${id} of ${session.client} in ${namespace}: ${resources.map(resourceName).join(', ')}`;
}

function resourceName(resource: Resource): string {
  const limit =
    resource.type === 'read' && resource.limit !== undefined ? ` limit ${resource.limit}` : '';
  return `${resource.type} ${JSON.stringify(resource.path)}${limit}`;
}
