/** `locktopus run`: runs a command while holding a lock. */
import { basename } from 'node:path';
import { limited, type Path, type Resource, read, write } from '../../client/index.ts';
import { parsePath } from '../../operators/path-text.ts';
import type { Arguments } from '../arguments.ts';
import { CONNECTION_NOTES, CONNECTION_OPTIONS, connectionFrom } from '../connection.ts';
import { durationText, parseDuration } from '../durations.ts';
import { CANNOT_START, NOT_FOUND, type Plan, runHolding } from '../run-command.ts';
import { type Verb, type VerbContext, VerbExit } from '../verb.ts';

const DEFAULT_GRACE_MS = 5000;
const DEFAULT_ABANDON_TIMEOUT_MS = 20_000;

/**
 * How many times the grace must fit into the abandon timeout. The client trusts its lock for nine
 * tenths of that and pings five times in it; so with two, a ping or two may fail before the command
 * has to end.
 */
const MIN_GRACES = 2;
/** The same if the abandon timeout is made to fit. */
const USUAL_GRACES = 4;

const MAX_LABEL_CHARS = 256;

export const RUN: Verb = {
  usage: 'run [options] [--] COMMAND [ARGUMENT…]',
  examples: [
    [
      'locktopus run -w orders/17 -- ./bill.sh 17',
      'run bill.sh while no one else works on order 17',
    ],
    [
      'locktopus run --try -w jobs/report -- ./report.sh',
      'do nothing if it is running already (exit code 75)',
    ],
    [
      'locktopus run --wait 10s -w orders/17 -r prices -- ./bill.sh 17',
      'hold two paths together; wait for them for at most 10 s',
    ],
    ['locktopus run --limit 4 reports -- ./report.sh', 'run at most four at a time'],
  ],
  options: [
    {
      flag: 'write',
      short: 'w',
      values: ['PATH'],
      isList: true,
      help: 'lock this path and all below it for this command alone',
    },
    {
      flag: 'read',
      short: 'r',
      values: ['PATH'],
      isList: true,
      help: 'lock it together with other readers',
    },
    {
      flag: 'limit',
      values: ['N', 'PATH'],
      isList: true,
      help: 'be one of at most N that use it at a time',
    },
    { flag: 'wait', values: ['TIME'], help: 'how long to wait for the lock [no limit]' },
    { flag: 'try', values: [], help: 'do not wait at all' },
    {
      flag: 'grace',
      values: ['TIME'],
      help: `between SIGTERM and SIGKILL [${durationText(DEFAULT_GRACE_MS)}]`,
    },
    {
      flag: 'label',
      values: ['TEXT'],
      help: "description for operators [the command's name]",
    },
    {
      flag: 'abandon-timeout',
      values: ['TIME'],
      help: `how long the server keeps the lock of a lost client [${durationText(DEFAULT_ABANDON_TIMEOUT_MS)}]`,
    },
    ...CONNECTION_OPTIONS,
  ],
  notes: `PATH is orders/17, say, or / for everything. In a segment, a slash is \\/ and a backslash \\\\; \\e
is an empty segment. All paths are held together. TIME is 500ms, 10s, 2m or 1h.

No shell interprets the command. It has the standard streams and the environment of this program
(LOCKTOPUS_TOKEN, too), and a process group of its own. LOCKTOPUS_ID is the id of the lock, a
fencing token. When the command has ended, the rest of its group is ended too, by SIGTERM and after
--grace by SIGKILL. Then the lock is released.

When the lock is lost, the whole group is ended in this way. A connection that breaks and is back in
time has lost nothing. If it does not come back, the group has ended before the server can grant the
lock to another client. But a lock that an administrator evicts, or that a restarted server has
forgotten, may be granted to another client before the group has ended.

If this program is killed, a watchdog ends the group in the same way, well before the server
releases the lock after --abandon-timeout. Nothing ends the group if the watchdog is killed too, or
if this program is stopped by SIGSTOP; and nothing ends processes that leave the group (setsid).
Only the id protects from those.

SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH are passed on to the group. While
this program waits for the lock, the first four make it leave the queue and end. Ctrl-Z suspends the
command as well; if that lasts too long, the lock is lost. The command can read and write the
terminal by its standard streams, but it can't open /dev/tty, as some programs do to ask for a
password.

${CONNECTION_NOTES}

Exit codes:
  that of the command; 128 + n if signal n ended it, or the wait
  ${VerbExit.usage}   invalid command line
  ${VerbExit.unreachable}   no server could be reached
  ${VerbExit.internal}   internal error of this program
  ${VerbExit.notAcquired}   the lock was not acquired: it is taken, --wait is over, or the server refused it
  ${VerbExit.protocol}   what was reached is not a lock server
  ${VerbExit.noPermission}   the token is missing or invalid
  ${VerbExit.lost}   the lock was lost, and the command was ended
  ${CANNOT_START}  the command could not be started
  ${NOT_FOUND}  the command was not found`,
  takesCommand: true,
  run,
};

async function run(given: Arguments, context: VerbContext): Promise<number | string> {
  if (process.platform === 'win32') return 'Windows has no process groups, which run needs';
  const plan = planFrom(given);
  if (typeof plan === 'string') return plan;
  const connection = connectionFrom(given, context);
  if (typeof connection === 'string') return connection;
  return runHolding(plan, connection, context);
}

/** @returns a sentence without its full stop if the command line is a mistake */
function planFrom(given: Arguments): Plan | string {
  const { operands: command } = given;
  const [file = ''] = command;
  const resources = resourcesFrom(given);
  if (typeof resources === 'string') return resources;
  if (resources.length === 0) return 'name what to lock: -w PATH, -r PATH or --limit N PATH';
  if (file === '') return 'name the command to run, after --';
  if (given.has('try') && given.has('wait')) return '--try and --wait contradict each other';
  const waitMs = given.has('try') ? 0 : duration(given, 'wait', undefined);
  if (typeof waitMs === 'string') return waitMs;
  const graceMs = duration(given, 'grace', DEFAULT_GRACE_MS);
  if (typeof graceMs === 'string') return graceMs;
  const usualMs = Math.max(DEFAULT_ABANDON_TIMEOUT_MS, USUAL_GRACES * graceMs);
  const abandonTimeoutMs = duration(given, 'abandon-timeout', usualMs, 1000);
  if (typeof abandonTimeoutMs === 'string') return abandonTimeoutMs;
  if (abandonTimeoutMs < MIN_GRACES * graceMs) {
    return `--abandon-timeout must be at least twice --grace: ${durationText(MIN_GRACES * graceMs)}, not ${durationText(abandonTimeoutMs)}`;
  }
  const label = given.value('label') ?? basename(file).slice(0, MAX_LABEL_CHARS);
  return { command, resources, waitMs, graceMs, abandonTimeoutMs, label };
}

/** Milliseconds; or what is wrong. */
function duration<T>(given: Arguments, flag: string, usual: T, minMs = 0): number | string | T {
  const text = given.value(flag);
  if (text === undefined) return usual;
  const ms = parseDuration(text, minMs);
  return typeof ms === 'number' ? ms : `--${flag} ${ms}`;
}

function resourcesFrom(given: Arguments): readonly Resource[] | string {
  const resources: Resource[] = [];
  const add = (flag: string, text: string, make: (path: Path) => Resource): string | undefined => {
    const path = parsePath(text);
    if (typeof path === 'string') return `the path of --${flag} ${path}`;
    resources.push(make(path));
    return undefined;
  };
  const faults = [
    ...given.uses('write').map(([path = '']) => add('write', path, (it) => write(...it))),
    ...given.uses('read').map(([path = '']) => add('read', path, (it) => read(...it))),
    ...given.uses('limit').map(([count = '', path = '']) => {
      if (!/^[1-9]\d{0,14}$/.test(count)) {
        return `--limit must begin with a whole number of at least 1, not "${count}"`;
      }
      return add('limit', path, (it) => limited(Number(count), ...it));
    }),
  ];
  return faults.find((fault) => fault !== undefined) ?? resources;
}
