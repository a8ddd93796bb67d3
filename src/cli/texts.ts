/** The texts of the program: help, errors at start, and log lines about the server itself. */
import { addressName } from '../net/listen/listener.ts';
import type { StallReport } from '../runtime/stall-meter.ts';
import { plural } from '../runtime/text.ts';
import type { Drained, ServerCounts } from '../server.ts';
import { DEFAULT_HOST, DEFAULT_PORT, type ServerOptions } from '../server-options.ts';
import type { Kept } from '../session/statistics.ts';
import type { Recovered } from '../store/persistence.ts';
import { VERSION } from '../version.ts';
import { OPTION_GROUPS, type Option, variableOf } from './options.ts';
import type { Settings } from './settings.ts';
import { VERBS } from './verbs.ts';

const HELP_COLUMN = 34;

export function helpText(): string {
  const groups = OPTION_GROUPS.map(([heading, options]) =>
    [`${heading}:`, ...options.map(helpRow)].join('\n'),
  );
  const verbs = VERBS.map(({ name, summary }) => `  ${name.padEnd(HELP_COLUMN)}${summary}`);
  return `Locktopus ${VERSION}: a lock server. Programs that share data ask it for atomic sets of
read and write locks on paths and get them strictly in order of arrival.

Usage: locktopus [serve] [options]
       locktopus COMMAND [options]

Commands for a running server; locktopus COMMAND --help says more:
${verbs.join('\n')}

Options of the server [and defaults]. Repeat one that takes a list, or separate its items by commas.

${groups.join('\n\n')}

  ${'-h, --help'.padEnd(HELP_COLUMN)}show this text
  ${'    --version'.padEnd(HELP_COLUMN)}show the version

Each option has an environment variable: ${variableOf('port')} for --port,
${variableOf('log-clients')} (true or false) for --log-clients, and so on. The option takes precedence.
Tokens can also be set by ${variableOf('token')} and ${variableOf('admin-token')}.

One port serves JSON lines on TCP (try: nc localhost 9009, then {"action":"help"}), WebSocket
(ws://localhost:9009/v1?namespace=NAME) and HTTP (http://localhost:9009/).

When systemd passes sockets (LISTEN_FDS), the server listens on those only.

Signals:
  SIGHUP           reload tokens, certificate and key; connections stay open. Without any of those
                   files: the same as SIGTERM if the server runs in a terminal, which was closed
                   then; ignored elsewhere (nohup, daemons, containers without a terminal).
  SIGINT, SIGTERM  drain and stop: refuse new sessions and locks, and wait until no lock is held,
                   at most for --drain-timeout; with --data-dir or --etcd locks are kept, and it
                   waits only if --drain-timeout is set. Closing the connections takes up to five
                   seconds more, even with a timeout of 0. A second signal ends the process at once.
                   npx and npm do not pass signals on: start the server with node.

Exit codes:
  0                stopped, no holder was cut off
  1                could not listen
  2                invalid options, or started in a worker of node:cluster (PM2 cluster mode)
  3                stopped, and clients that held locks were cut off; with --data-dir or --etcd
                   their locks are kept, and the code is 0
  4                the data directory or etcd can't be used; nothing was changed
  5                writing to the data directory failed, or another server serves the locks in etcd
                   and this one has inherited sockets: start it again. Every lock confirmed to a
                   client is kept
  70               internal error: the server could not trust its lock table any more
  130, 143         ended by a second signal
  134              out of memory (SIGABRT)
`;
}

function helpRow({ flag, short, type, value, default: usual, help }: Option): string {
  const name = `${short === undefined ? '    ' : `-${short}, `}--${flag}${value === undefined ? '' : ` ${value}`}`;
  const fallback = type === 'switch' || usual === '' ? '' : ` [${usual}]`;
  return `  ${name.padEnd(HELP_COLUMN)}${help}${fallback}`;
}

/** The addresses and the options that are not at their defaults. */
export function startLine(addresses: readonly string[], { chosen }: Settings): string {
  const where = addresses.join(' and ');
  const how = chosen.length === 0 ? 'all options at their defaults' : chosen.join(', ');
  return `Locktopus ${VERSION} listens on ${where} (${how})`;
}

/** For a listener that other machines can reach while clients need not authenticate. */
export function exposureWarning(address: string): string {
  return `warning: any client that can reach ${address} may take and inspect locks. Require a token with --token-file, or listen on 127.0.0.1`;
}

/** SIGHUP, and there are neither files to reload nor a terminal that was closed. */
export const HANG_UP_LINE =
  'SIGHUP ignored: there are no token or certificate files to reload. Send SIGTERM to stop the server';

/** Whether the server was started in a worker of node:cluster, where it must not run. */
export function isClusterError({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_CLUSTER_WORKER';
}

/** Why the server could not start, and what to do. */
export function listenFailure(
  error: NodeJS.ErrnoException,
  { host = DEFAULT_HOST, port = DEFAULT_PORT, socket, fds = [] }: ServerOptions,
): string {
  if (isClusterError(error)) {
    return `${error.message}. Start one process outside node:cluster; with PM2, use fork mode (exec_mode: "fork", instances: 1).`;
  }
  if (fds.length > 0) {
    return `cannot listen on the inherited sockets (descriptors ${fds.join(', ')}): ${error.message}. They must be stream sockets; see LISTEN_FDS and LISTEN_PID.`;
  }
  if (error instanceof RangeError) {
    return `${error.message}. With --no-tcp, set the Unix socket with --socket.`;
  }
  // In the system's error for a Unix socket, the address is its path.
  if (socket !== undefined && 'address' in error && error.address === socket.path) {
    return socketFailure(error, socket.path);
  }
  // A name may have several addresses; the error names the one that failed.
  const where =
    'address' in error ? addressName(`${error.address}`, port) : addressName(host, port);
  switch (error.code) {
    case 'EADDRINUSE':
      return `${where} is already in use. Stop the program that listens there, or choose another port with --port.`;
    case 'EACCES':
      return `no permission to listen on ${where}: ports below 1024 need root. Choose a higher one with --port.`;
    case 'EADDRNOTAVAIL':
      return `${host} is not an address of this machine. Choose one with --host, such as 127.0.0.1 or 0.0.0.0.`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `cannot resolve the host name ${host}. Choose an address with --host, such as 127.0.0.1 or 0.0.0.0.`;
    default:
      return `cannot listen on ${where}: ${error.message}`;
  }
}

function socketFailure(error: NodeJS.ErrnoException, path: string): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `${error.message}. Stop that program, remove what is there, or choose another path with --socket.`;
    case 'EACCES':
    case 'EPERM':
      return `no permission to create ${path}, or to replace the file there. Check its folder, or choose another path with --socket.`;
    case 'ENOENT':
    case 'ENOTDIR':
      return `the folder of ${path} does not exist. Create it, or choose another path with --socket.`;
    case 'ENAMETOOLONG':
      return `${path} is too long for a Unix socket: ${error.message}. Choose a shorter path with --socket.`;
    default:
      return `cannot listen on ${path}: ${error.message}`;
  }
}

/** The open-file limit allows fewer connections than `configured`, which is --max-connections. */
export function openFilesWarning(maxConnections: number, configured: number): string {
  return `the open-file limit allows ${plural(maxConnections, 'connection')}, fewer than --max-connections ${configured}; raise it (ulimit -n) if you need more`;
}

/** The process may run out of memory before clients get `server_full`. */
export function heapWarning(maxLockBytes: number, room: number): string {
  return `warning: --max-lock-bytes ${maxLockBytes} is more than this process's heap can hold (${room} bytes): the process may run out of memory and lose every lock before that limit is reached. Lower it to ${room}, or enlarge the heap (node --max-old-space-size=MIB)`;
}

/** A connection over the limit was rejected. */
export function fullLine(maxConnections: number): string {
  return `connection limit reached (${maxConnections}, --max-connections); rejecting new connections`;
}

/** The system could not accept a connection. */
export function stuckLine({ code, message }: NodeJS.ErrnoException): string {
  const isOutOfFiles = code === 'EMFILE' || code === 'ENFILE';
  const cure = isOutOfFiles ? ': raise the open-file limit (ulimit -n)' : '';
  return `could not accept a connection (${message})${cure}; open connections are not affected`;
}

/** The file of the Unix socket was removed or replaced. */
export function lostPathLine(path: string, error: Error | undefined): string {
  if (error === undefined) {
    return `the Unix socket ${path} was removed; created it again, and its clients stay connected`;
  }
  return `the Unix socket ${path} was removed or replaced, and creating it again failed. Its clients stay connected; new ones cannot connect. The next attempt is in ten seconds. ${socketFailure(error, path)}`;
}

/**
 * A client sent a wrong token.
 *
 * @param suppressed occurrences since the last such line that were not logged
 */
export function wrongTokenLine(client: string, suppressed: number): string {
  return `invalid token from ${client}${andMore(suppressed)}`;
}

/**
 * A TLS handshake failed.
 *
 * @param suppressed occurrences since the last such line that were not logged
 */
export function handshakeLine(why: string, client: string | undefined, suppressed: number): string {
  const whose = client === undefined ? '' : ` with ${client}`;
  return `TLS handshake${whose} failed (${why})${andMore(suppressed)}`;
}

/** A request was rejected because of its Host or Origin. */
export function rejectedRequestLine(why: string, client: string, suppressed: number): string {
  return `rejected a request from ${client}: ${why.replace(/\.$/, '')}${andMore(suppressed)}`;
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

/** The end of a recovery. */
export function recoveredLine(path: string, { sessions, locks, ms, bytes }: Recovered): string {
  const what = `${plural(sessions, 'session')} and ${plural(locks, 'lock')}`;
  const size = bytes === undefined ? '' : ` (${plural(bytes, 'byte')})`;
  return `recovered ${what} from ${path}${size} in ${Math.round(ms)} ms`;
}

/** The data directory can't be written any more; the process ends. */
export function storeFailedLine({ message }: Error): string {
  return `${message}. The server ends at once; every lock confirmed to a client is kept`;
}

/** The end of a drain. */
export function stoppedLine({ cutOff, kept }: Drained): string {
  if (kept !== undefined) return keptLine(kept);
  if (cutOff === 0) return 'stopped';
  const verb = cutOff === 1 ? 'was' : 'were';
  return `stopped; ${plural(cutOff, 'session')} that held locks ${verb} cut off`;
}

function keptLine({ sessions, held, waiting }: Kept): string {
  if (sessions === 0) return 'stopped';
  const whose = `the locks of ${plural(sessions, 'session')}`;
  return `stopped; ${whose} are kept: ${held} held, ${waiting} waiting`;
}

export function stallLine({ stallMs, suppressed }: StallReport): string {
  return `event loop blocked for ${Math.round(stallMs)} ms${andMore(suppressed)}`;
}

function andMore(suppressed: number): string {
  return suppressed === 0
    ? ''
    : `, and ${plural(suppressed, 'more time')} since the last such line`;
}
