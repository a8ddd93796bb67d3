/**
 * What can go wrong, by class: what the caller never got (`LockTimeoutError`, `DeadlockError`,
 * `RefusedError`), what it had and has no more (`LockLostError`), and a server that is not there
 * (`UnreachableError`). Each has a stable `code`; the message is the server's own sentence where it
 * sent one.
 */
import type { ErrorCode } from '../protocol/errors.ts';
import type { Path, Resource } from './resources.ts';

/** Codes that the server never sends: the client gives them. */
export type ClientErrorCode =
  | 'timeout'
  | 'unreachable'
  | 'protocol'
  | 'closed'
  | 'unconfirmed'
  | 'expired'
  | 'missing';

/**
 * A code of PROTOCOL.md or one of the client's own. Servers that are newer than this client may have
 * more of them.
 */
export type LocktopusErrorCode = ErrorCode | ClientErrorCode | (string & {});

/** The class of all errors that this client makes. */
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

/** The wait would have closed a circle among owners: release what one of them holds, then retry. */
export class DeadlockError extends LocktopusError {
  override readonly name: string = 'DeadlockError';
  /** The first steps of the circle, from the owner that asked. */
  readonly cycle: readonly DeadlockStep[];
  /** How many steps more it has. */
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
}

/**
 * A lock that was held is lost. The reason of `lock.signal`. Its `code` says how: `expired`
 * (`holdMs` is over), `evicted`, `no_such_session`, `taken_over`, `shutting_down`, `missing` (it was
 * gone when the session was resumed), `closed` (by `client.close()`), or `unconfirmed`: the server
 * has not answered for so long that it could give the lock to another.
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

/** No server could be reached in time. The cause is the last failure. */
export class UnreachableError extends LocktopusError {
  override readonly name: string = 'UnreachableError';

  constructor(message: string, cause?: unknown) {
    super('unreachable', message, cause);
  }
}

/** What answered broke the protocol: it is no Locktopus server, or one of another age. */
export class ProtocolError extends LocktopusError {
  override readonly name: string = 'ProtocolError';

  constructor(message: string) {
    super('protocol', message);
  }
}

/** The client was closed before this could be done. */
export class ClientClosedError extends LocktopusError {
  override readonly name: string = 'ClientClosedError';

  constructor(message = 'the client is closed') {
    super('closed', message);
  }
}
