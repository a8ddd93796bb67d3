/**
 * A command in a process group of its own, so that its children can be signalled and ended with it.
 *
 * Node can't make a group without making a session (setsid). So the command has no controlling
 * terminal: it reads and writes the terminal by the streams that it inherits, but the keyboard's
 * signals go to this process, which passes them on, and /dev/tty can't be opened. A descendant that
 * leaves the group (setsid, daemons, jobs of an interactive shell) is out of reach.
 *
 * This process may be killed without a chance to act. So a watchdog, a small shell in a session of its
 * own, reads from a pipe whose other end closes with this process, and then ends the group. The command
 * waits at a gate until the watchdog knows its group: otherwise it would be left running if this process
 * were killed right after it started it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, readdirSync, readFileSync, statSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

/** How a command ended. */
export type CommandEnd =
  | { readonly code: number; readonly signal: null }
  | { readonly code: null; readonly signal: NodeJS.Signals };

/** Why a command could not be started. */
export class StartFailure {
  readonly code: string;
  readonly message: string;

  constructor({ code = '', message }: NodeJS.ErrnoException) {
    this.code = code;
    this.message = message;
  }
}

/** Milliseconds between two looks at a group that is to be empty. */
const LOOK_MS = 20;

/** Milliseconds after SIGKILL until what is still there is taken for unkillable. */
const KILLED_MS = 2000;

/**
 * Starts a command, found on the PATH, with the streams of this process.
 *
 * @param graceMs milliseconds between SIGTERM and SIGKILL if this process is killed
 */
export async function startGroup(
  [file = '', ...args]: readonly string[],
  env: NodeJS.ProcessEnv,
  graceMs: number,
): Promise<ProcessGroup | StartFailure> {
  const watchdog = startWatchdog(graceMs);
  const isGuarded = watchdog.pid !== undefined;
  let child: ChildProcess;
  try {
    assertExecutable(file, env.PATH);
    child = isGuarded
      ? spawn(SHELL, ['-c', GATE, 'sh', file, ...args], {
          ...{ detached: true, env },
          stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
        })
      : spawn(file, args, { detached: true, stdio: 'inherit', env });
    // Node throws some errors and emits others.
    if (child.pid === undefined) throw (await once(child, 'error'))[0];
  } catch (error) {
    watchdog.stdin?.end();
    return new StartFailure(error as NodeJS.ErrnoException);
  }
  // Both are written at once, in this order.
  watchdog.stdin?.write(`${child.pid}\n`);
  if (isGuarded) openGate(child.stdio[GATE_FD] as Writable);
  return new ProcessGroup(child, child.pid, watchdog);
}

const SHELL = '/bin/sh';

const GATE_FD = 3;
/** Becomes the command once there is a line to read; if the input ends without one, nothing runs. */
const GATE = `read -r go <&${GATE_FD} || exit; exec ${GATE_FD}<&-; exec "$@"`;

function openGate(gate: Writable): void {
  gate.on('error', () => {}); // It was killed while it waited.
  gate.end('\n', () => gate.destroy());
}

/**
 * Throws what `execvp` would say of a command that can't be run. The shell at the gate would say it in
 * words of its own.
 */
function assertExecutable(file: string, path = '/usr/bin:/bin'): void {
  if (file.includes('/')) {
    accessSync(file, constants.X_OK);
    if (statSync(file).isFile()) return;
    throw Object.assign(new Error(`EACCES: ${file} is not a file`), { code: 'EACCES' });
  }
  let refused: unknown;
  for (const directory of path.split(':')) {
    const place = `${directory || '.'}/${file}`;
    try {
      accessSync(place, constants.X_OK);
      if (statSync(place).isFile()) return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') refused = error;
    }
  }
  throw (
    refused ?? Object.assign(new Error(`ENOENT: ${file} is not on the PATH`), { code: 'ENOENT' })
  );
}

export class ProcessGroup {
  /** Resolves when the command has ended, though not yet all of its children. */
  readonly commandEnd: Promise<CommandEnd>;
  readonly #id: number;
  readonly #watchdog: ChildProcess;
  #killTimer: NodeJS.Timeout | undefined;
  #killAtMs = Number.POSITIVE_INFINITY;
  #isKilled = false;
  /** Its id may belong to another group by now. */
  #isOver = false;

  constructor(child: ChildProcess, id: number, watchdog: ChildProcess) {
    this.#id = id;
    this.#watchdog = watchdog;
    this.commandEnd = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
  }

  /** Sends a signal to all processes of the group. Returns whether there are any. */
  signal(name: NodeJS.Signals | 0): boolean {
    if (this.#isOver) return false;
    try {
      return process.kill(-this.#id, name);
    } catch (error) {
      // Another user's, by setuid: it is there, and can't be signalled.
      return (error as NodeJS.ErrnoException).code === 'EPERM';
    }
  }

  /** Sends SIGTERM, and SIGKILL after `graceMs` milliseconds; of several calls the earliest counts. */
  end(graceMs: number): void {
    const killAtMs = performance.now() + graceMs;
    if (killAtMs >= this.#killAtMs) return;
    const isFirst = this.#killAtMs === Number.POSITIVE_INFINITY;
    this.#killAtMs = killAtMs;
    clearTimeout(this.#killTimer);
    if (graceMs <= 0) {
      this.#kill();
      return;
    }
    if (isFirst) {
      this.signal('SIGTERM');
      // One that is stopped must run to end.
      this.signal('SIGCONT');
    }
    this.#killTimer = setTimeout(() => this.#kill(), graceMs);
  }

  /**
   * Ends what is left of the group once the command has ended.
   *
   * @param graceMs milliseconds between SIGTERM and SIGKILL
   * @returns whether nothing is left
   */
  async clear(graceMs: number): Promise<boolean> {
    await this.commandEnd;
    let isEmpty = !this.#hasLiving();
    if (!isEmpty) this.end(graceMs);
    while (!isEmpty && performance.now() < this.#killAtMs + KILLED_MS) {
      await delay(LOOK_MS);
      isEmpty = !this.#hasLiving();
    }
    clearTimeout(this.#killTimer);
    this.#watchdog.stdin?.end('\n');
    this.#isOver = true;
    return isEmpty;
  }

  #kill(): void {
    if (!this.#isKilled) this.signal('SIGKILL');
    this.#isKilled = true;
  }

  #hasLiving(): boolean {
    // Where init is slow to reap, or does not, the dead stay in the group.
    return this.signal(0) && (process.platform !== 'linux' || hasLivingMember(this.#id));
  }
}

/** Whether a process of the group is no zombie. Assumes so if /proc can't be read. */
function hasLivingMember(group: number): boolean {
  try {
    return readdirSync('/proc').some((name) => /^\d+$/.test(name) && isLiving(name, group));
  } catch {
    return true;
  }
}

function isLiving(pid: string, group: number): boolean {
  try {
    // The name, in parentheses, may contain anything; the state and two numbers follow it.
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state, , id] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return Number(id) === group && state !== 'Z' && state !== 'X';
  } catch {
    // It has just ended.
    return false;
  }
}

/**
 * Reads the group's id, then a line that says that all is well. If the input ends without it, ends the
 * group: $1 seconds after SIGTERM comes SIGKILL.
 */
const WATCHDOG = `read -r group || exit
read -r ended && exit
kill -s TERM -- "-$group" || exit
kill -s CONT -- "-$group"
sleep "$1"
kill -s KILL -- "-$group"`;

function startWatchdog(graceMs: number): ChildProcess {
  const args = ['-c', WATCHDOG, 'locktopus-run-watchdog', String(graceMs / 1000)];
  const child = spawn(SHELL, args, { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  // Without a shell, or once the watchdog is gone, the command is not guarded; that is all.
  child.on('error', () => {});
  child.stdin.on('error', () => {});
  child.unref();
  return child;
}
