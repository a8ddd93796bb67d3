/**
 * The errors of the client: a lock was not acquired (`LockTimeoutError`, `DeadlockError`,
 * `RefusedError`), was lost (`LockLostError`), or no server could be reached (`UnreachableError`). Each
 * has a stable `code`; the message is the server's where it sent one.
 */
import type { ErrorCode } from '../protocol/errors.ts';
import type { Path, Resource } from './resources.ts';

/** Codes of the client's own. */
export type ClientErrorCode =
  | 'timeout'
  | 'unreachable'
  | 'protocol'
  | 'closed'
  | 'unconfirmed'
  | 'expired'
  | 'missing';

/**
 * A code from PROTOCOL.md or one of the client's own. A server newer than this client may send others.
 */
export type LocktopusErrorCode = ErrorCode | ClientErrorCode | (string & {});

/** The base class of the client's errors. */
export class LocktopusError extends Error {
  override readonly name: string = 'LocktopusError';
  /** Stable, for programs; the message is for people and may change. */
  readonly code: LocktopusErrorCode;

  constructor(code: LocktopusErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The lock was not acquired within `waitMs`. */
export class LockTimeoutError extends LocktopusError {
  override readonly name: string = 'LockTimeoutError';

  constructor(message: string) {
    super('timeout', message);
  }
}

/** One step of a deadlock: an owner, and which lock of its waits for which. */
export interface DeadlockStep {
  readonly owner: string;
  /** The label of the owner's session, if it has one. */
  readonly session?: string | undefined;
  readonly id: string;
  readonly waitsFor: string;
  readonly relation: string;
  /** Where the two locks meet. */
  readonly path: Path;
}

/** The wait would have closed a cycle among owners: release what one of them holds, then retry. */
export class DeadlockError extends LocktopusError {
  override readonly name: string = 'DeadlockError';
  /** The first steps of the cycle, from the owner that asked. */
  readonly cycle: readonly DeadlockStep[];
  /** How many further steps it has. */
  readonly cycleMore: number;

  constructor(message: string, cycle: readonly DeadlockStep[], cycleMore: number) {
    super('deadlock', message);
    this.cycle = cycle;
    this.cycleMore = cycleMore;
  }
}

/** The server refused the request; `code` says why. */
export class RefusedError extends LocktopusError {
  override readonly name: string = 'RefusedError';
  /** With the code `not_owner`: the address of the server that serves, if it is known. */
  readonly owner: string | undefined;

  constructor(code: LocktopusErrorCode, message: string, owner?: string) {
    super(code, message);
    this.owner = owner;
  }
}

/**
 * A held lock was lost. The reason of `lock.signal`. Its `code` says why: `expired` (`holdMs` has
 * passed), `evicted`, `no_such_session`, `taken_over`, `shutting_down`, `missing` (it was gone when the
 * session was resumed), `closed` (by `client.close()`), or `unconfirmed` (the server has not answered
 * for so long that it may have granted the lock to another client).
 */
export class LockLostError extends LocktopusError {
  override readonly name: string = 'LockLostError';
  /** The lock's id. */
  readonly id: string;
  readonly resources: readonly Resource[];

  constructor(
    code: LocktopusErrorCode,
    message: string,
    lock: { readonly id: string; readonly resources: readonly Resource[] },
  ) {
    super(code, message);
    this.id = lock.id;
    this.resources = lock.resources;
  }
}

/** No server could be reached in time. Its `cause` is the last failure. */
export class UnreachableError extends LocktopusError {
  override readonly name: string = 'UnreachableError';

  constructor(message: string, cause?: unknown) {
    super('unreachable', message, cause);
  }
}

/** The server broke the protocol: it is not a Locktopus server, or an incompatible version. */
export class ProtocolError extends LocktopusError {
  override readonly name: string = 'ProtocolError';

  constructor(message: string) {
    super('protocol', message);
  }
}

/** The client is closed. */
export class ClientClosedError extends LocktopusError {
  override readonly name: string = 'ClientClosedError';

  constructor(message = 'the client is closed') {
    super('closed', message);
  }
}
